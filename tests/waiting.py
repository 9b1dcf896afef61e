"""What would wait for an accelerator, seen on the CPU at two levels.

Functions that the code calls show what would be fetched, though on a CPU `cpu()` does nothing.
Operators that torch runs show what functions do inside.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

FETCHING = {"cpu", "to", "numpy", "tolist", "item", "tensor", "as_tensor", "bincount", "nonzero"}
FETCHING |= {"__bool__", "__int__", "__float__", "__index__", "masked_select", "unique"}
WAITING = {"_local_scalar_dense", "_to_copy", "bincount", "nonzero", "masked_select", "lift_fresh"}
WAITING |= {"equal", "is_nonzero", "_unique2", "unique_dim", "repeat_interleave"}


def by_mask(name: str, args: tuple[Any, ...]) -> bool:
    """Whether booleans choose elements, whose number only the device knows."""
    indices = args[1] if len(args) > 1 else ()
    several = indices if isinstance(indices, list | tuple) else (indices,)
    return ("index" in name or "item__" in name) and any(
        isinstance(index, torch.Tensor) and index.dtype == torch.bool for index in several
    )


class Asked(TorchFunctionMode):
    """Counts functions that fetch from a device or bring something there."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        if name in FETCHING or by_mask(name, args):
            self.counts[name] += 1
        return func(*args, **(kwargs or {}))


class Run(TorchDispatchMode):
    """Counts operators that do, and tiles."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self.tiles = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name = func.overloadpacket.__name__
        if name in WAITING or by_mask(name, args):
            self.counts[name] += 1
        self.tiles += name == "amin"
        return func(*args, **(kwargs or {}))
