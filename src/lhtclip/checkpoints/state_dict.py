"""From a checkpoint's tensors to ours, and back, by a table of names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lhtclip.clip.family import TensorNames
from lhtclip.clip.towers import ImageTextModel
from lhtclip.errors import CheckpointError, listed


def gather(
    model: ImageTextModel, tensors: Mapping[str, Tensor], names: TensorNames, *, config_file: str
) -> dict[str, Tensor]:
    """Rename, join and transpose a checkpoint's tensors into the state dict of `model`.

    Args:
        model: The model, possibly on the meta device.
        tensors: Tensors by the names of their layout.
        names: The names of that layout.
        config_file: The file that errors name as the model's description.

    Raises:
        CheckpointError: Tensors are missing, unexpected or of a wrong shape; names them.
    """
    table = _table(model, names)
    wanted = {name for stored in table.values() for name in stored.names}
    missing = sorted(wanted - tensors.keys())
    extra = sorted(tensors.keys() - wanted - names.ignored)
    if missing or extra:
        raise CheckpointError(
            f"The checkpoint's tensors are not those that its {config_file} describes."
            + _list("Missing", missing)
            + _list("Not expected", extra)
        )
    expected = model.state_dict()
    state: dict[str, Tensor] = {}
    for ours, stored in table.items():
        for name, shape in zip(stored.names, stored.shapes, strict=True):
            found = tuple(tensors[name].shape)
            if not tensors[name].is_floating_point() or tensors[name].element_size() < 2:
                raise CheckpointError(
                    f"The checkpoint's tensor {name} is of {tensors[name].dtype}; only weights of "
                    "floating-point numbers of at least 16 bits can be read, not quantised ones. "
                    "Use the original weights."
                )
            if found != shape and (found, shape) != ((1,), ()):
                raise CheckpointError(
                    f"The checkpoint's tensor {name} has shape {found}; "
                    f"its {config_file} asks for {shape}."
                )
        parts = [tensors[name] for name in stored.names]
        joined = torch.cat(parts) if parts[1:] else parts[0]
        turned = joined.T.contiguous() if stored.transposed else joined
        state[ours] = turned.reshape(expected[ours].shape)
    return state


def scatter(model: ImageTextModel, names: TensorNames) -> dict[str, Tensor]:
    """Return the tensors of `model` with the names and shapes of a layout."""
    state = model.state_dict()
    tensors: dict[str, Tensor] = {}
    for ours, stored in _table(model, names).items():
        tensor = state[ours].T if stored.transposed else state[ours]
        sizes = [math.prod(shape) for shape in stored.shapes]
        parts = tensor.reshape(-1).split(sizes)
        for name, shape, part in zip(stored.names, stored.shapes, parts, strict=True):
            tensors[name] = part.reshape(shape).contiguous()
    return tensors


@dataclass(frozen=True, slots=True)
class _Stored:
    """One of our tensors in a checkpoint: the names and shapes of its parts."""

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    transposed: bool


def _table(model: ImageTextModel, names: TensorNames) -> dict[str, _Stored]:
    patch = model.config.vision.patch_size
    table: dict[str, _Stored] = {}
    for ours, tensor in model.state_dict().items():
        theirs, shape = names.of(ours), tuple(tensor.shape)
        transposed = ours in names.transposed
        if transposed:
            shape = shape[::-1]
        elif ours == "vision.patch_embedding.weight":  # ours a matrix, theirs a convolution kernel
            shape = shape[0], 3, patch, patch
        shapes = (shape,)
        if theirs[1:]:
            shares = names.shares.get(ours, (1,) * len(theirs))
            shapes = tuple((shape[0] * n // sum(shares), *shape[1:]) for n in shares)
        table[ours] = _Stored(theirs, shapes, transposed)
    return table


def _list(title: str, tensors: list[str]) -> str:
    if not tensors:
        return ""
    return f" {title}: {listed(tensors)}."
