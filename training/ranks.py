"""Processes that train one model together, one per CPU core."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor


def join(rank: int, ranks: int, meeting_place: Path) -> None:
    """Join the other processes through a file that does not exist yet; do nothing if alone."""
    if ranks > 1:
        dist.init_process_group(
            "gloo", init_method=f"file://{meeting_place}", rank=rank, world_size=ranks
        )


def gather(own: Tensor) -> Tensor:
    """Return the tensors of all ranks, joined along the first axis; gradients flow to one's own."""
    if not dist.is_initialized():
        return own
    all_ranks = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(all_ranks, own.detach().contiguous())
    all_ranks[dist.get_rank()] = own
    return torch.cat(all_ranks)


def add_up(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return the sums over all ranks, in float32."""
    if not dist.is_initialized():
        return [tensor.float() for tensor in tensors]
    flat = torch.cat([tensor.float().flatten() for tensor in tensors])
    dist.all_reduce(flat)
    parts = flat.split([tensor.numel() for tensor in tensors])
    return [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)]


def agree(number: int) -> int:
    """Return the minimum over all ranks."""
    if not dist.is_initialized():
        return number
    tensor = torch.tensor(number)
    dist.all_reduce(tensor, dist.ReduceOp.MIN)
    return int(tensor)
