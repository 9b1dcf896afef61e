"""A checkpoint's tensors become ours, and back, by a table of what its layout calls each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lhtclip.clip.model import ImageTextModel
from lhtclip.errors import CheckpointError


@dataclass(frozen=True, slots=True)
class TensorNames:
    """What a layout calls our tensors.

    `top` has those beside the blocks, ours -> theirs; `towers` what precedes the number of a
    tower's block; `block` the parts of a block, "{}" being "weight" or "bias", where several of
    theirs are one of ours, stacked along rows. `transposed` are names of ours; `ignored` names of
    theirs, of buffers that hold nothing learned.
    """

    top: Mapping[str, str]
    towers: Mapping[str, str]
    block: Mapping[str, tuple[str, ...]]
    transposed: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()

    def of(self, ours: str) -> tuple[str, ...]:
        """Return the name, or the names of the parts, of one of our tensors."""
        if ours in self.top:
            return (self.top[ours],)
        tower, _, layer, *part, kind = ours.split(".")
        prefix = f"{self.towers[tower]}{layer}."
        return tuple(prefix + name.format(kind) for name in self.block[".".join(part)])


TRANSFORMERS_CLIP = TensorNames(
    top={
        "logit_scale": "logit_scale",
        "vision.class_embedding": "vision_model.embeddings.class_embedding",
        "vision.patch_embedding.weight": "vision_model.embeddings.patch_embedding.weight",
        "vision.positions": "vision_model.embeddings.position_embedding.weight",
        "vision.pre_norm.weight": "vision_model.pre_layrnorm.weight",
        "vision.pre_norm.bias": "vision_model.pre_layrnorm.bias",
        "vision.final_norm.weight": "vision_model.post_layernorm.weight",
        "vision.final_norm.bias": "vision_model.post_layernorm.bias",
        "vision.projection.weight": "visual_projection.weight",
        "text.token_embedding.weight": "text_model.embeddings.token_embedding.weight",
        "text.positions": "text_model.embeddings.position_embedding.weight",
        "text.final_norm.weight": "text_model.final_layer_norm.weight",
        "text.final_norm.bias": "text_model.final_layer_norm.bias",
        "text.projection.weight": "text_projection.weight",
    },
    towers={"vision": "vision_model.encoder.layers.", "text": "text_model.encoder.layers."},
    block={
        "norm1": ("layer_norm1.{}",),
        "attention.in_projection": tuple(f"self_attn.{part}_proj.{{}}" for part in "qkv"),
        "attention.out_projection": ("self_attn.out_proj.{}",),
        "norm2": ("layer_norm2.{}",),
        "mlp.expand": ("mlp.fc1.{}",),
        "mlp.contract": ("mlp.fc2.{}",),
    },
    # In old checkpoints: 0, 1, 2, ...
    ignored=frozenset(f"{tower}_model.embeddings.position_ids" for tower in ("vision", "text")),
)

TRANSFORMERS_SIGLIP = replace(
    TRANSFORMERS_CLIP,
    top={
        "logit_scale": "logit_scale",
        "logit_bias": "logit_bias",
        "vision.patch_embedding.weight": "vision_model.embeddings.patch_embedding.weight",
        "vision.patch_embedding.bias": "vision_model.embeddings.patch_embedding.bias",
        "vision.positions": "vision_model.embeddings.position_embedding.weight",
        "vision.final_norm.weight": "vision_model.post_layernorm.weight",
        "vision.final_norm.bias": "vision_model.post_layernorm.bias",
        "vision.head.probe": "vision_model.head.probe",
        **{
            f"vision.head.{ours}": f"vision_model.head.{theirs}"
            for ours, theirs in {
                "attention.in_projection.weight": "attention.in_proj_weight",
                "attention.in_projection.bias": "attention.in_proj_bias",
                "attention.out_projection.weight": "attention.out_proj.weight",
                "attention.out_projection.bias": "attention.out_proj.bias",
                "norm.weight": "layernorm.weight",
                "norm.bias": "layernorm.bias",
                "mlp.expand.weight": "mlp.fc1.weight",
                "mlp.expand.bias": "mlp.fc1.bias",
                "mlp.contract.weight": "mlp.fc2.weight",
                "mlp.contract.bias": "mlp.fc2.bias",
            }.items()
        },
        "text.token_embedding.weight": "text_model.embeddings.token_embedding.weight",
        "text.positions": "text_model.embeddings.position_embedding.weight",
        "text.final_norm.weight": "text_model.final_layer_norm.weight",
        "text.final_norm.bias": "text_model.final_layer_norm.bias",
        "text.head.weight": "text_model.head.weight",
        "text.head.bias": "text_model.head.bias",
    },
)


def gather(
    model: ImageTextModel, tensors: Mapping[str, Tensor], names: TensorNames, *, config_file: str
) -> dict[str, Tensor]:
    """Rename, join and turn a checkpoint's tensors into the state dict of `model`.

    Args:
        model: Tells what is wanted; may lie on the meta device.
        tensors: By the names of their layout.
        names: Of that layout.
        config_file: What errors refer to as the file that asked for such a model.

    Raises:
        CheckpointError: Names the tensors that are missing, left over or of a wrong shape.
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
        for name in stored.names:
            found = tuple(tensors[name].shape)
            if found != stored.shape:
                raise CheckpointError(
                    f"The checkpoint's tensor {name} has shape {found}; "
                    f"its {config_file} asks for {stored.shape}."
                )
        parts = [tensors[name] for name in stored.names]
        joined = torch.cat(parts) if parts[1:] else parts[0]
        turned = joined.T.contiguous() if stored.transposed else joined
        state[ours] = turned.reshape(expected[ours].shape)
    return state


def scatter(model: ImageTextModel, names: TensorNames) -> dict[str, Tensor]:
    """Return the tensors of `model` as a layout names and shapes them."""
    state = model.state_dict()
    tensors: dict[str, Tensor] = {}
    for ours, stored in _table(model, names).items():
        tensor = state[ours].T if stored.transposed else state[ours]
        for name, part in zip(stored.names, tensor.reshape(-1, *stored.shape), strict=True):
            tensors[name] = part.contiguous()
    return tensors


@dataclass(frozen=True, slots=True)
class _Stored:
    """One of our tensors in a checkpoint; `shape` is that of each part."""

    names: tuple[str, ...]
    shape: tuple[int, ...]
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
        elif theirs[1:]:
            shape = shape[0] // len(theirs), *shape[1:]
        table[ours] = _Stored(theirs, shape, transposed)
    return table


def _list(title: str, tensors: list[str]) -> str:
    if not tensors:
        return ""
    shown = ", ".join(tensors[:5])
    return f" {title}: {shown}" + (f" and {len(tensors) - 5} more." if tensors[5:] else ".")
