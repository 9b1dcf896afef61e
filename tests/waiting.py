"""What would wait for an accelerator, seen without one.

Tensors on the device "meta" have shapes and no data. Code that runs on them cannot have read a
value, which on an accelerator would mean waiting for it. What is left is to watch for transfers.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

META = torch.device("meta")


class Transfers(TorchDispatchMode):
    """Counts operators, and among them those that move data from one device to another."""

    def __init__(self) -> None:
        super().__init__()
        self.operators = self.count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        tensors = [x for x in tree_leaves((args, kwargs, result)) if isinstance(x, torch.Tensor)]
        self.operators += 1
        self.count += len({x.device.type for x in tensors if x.dim()}) > 1
        return result
