"""The `transformers` names of a CLIP's tensors, and ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from lhtclip.clip.config import ClipConfig
from lhtclip.errors import CheckpointError

# ours -> theirs, beside the blocks. One of ours may be several of theirs, stacked along rows.
_TOP: dict[str, str] = {
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
}
_BLOCK: dict[str, tuple[str, ...]] = {
    "norm1": ("layer_norm1",),
    "attention.in_projection": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "attention.out_projection": ("self_attn.out_proj",),
    "norm2": ("layer_norm2",),
    "mlp.expand": ("mlp.fc1",),
    "mlp.contract": ("mlp.fc2",),
}
# Buffers of old checkpoints that hold 0, 1, 2, ... and nothing learned.
_IGNORED = frozenset(f"{tower}_model.embeddings.position_ids" for tower in ("vision", "text"))


def names(config: ClipConfig) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield every tensor's name here with its name or names in the `transformers` layout."""
    for ours, theirs in _TOP.items():
        yield ours, (theirs,)
    layers = {
        "vision": config.vision.num_hidden_layers,
        "text": config.text.num_hidden_layers,
    }
    for tower, depth in layers.items():
        for layer in range(depth):
            for ours, parts in _BLOCK.items():
                for kind in ("weight", "bias"):
                    yield (
                        f"{tower}.blocks.{layer}.{ours}.{kind}",
                        tuple(f"{tower}_model.encoder.layers.{layer}.{p}.{kind}" for p in parts),
                    )


def from_transformers(
    model: nn.Module, config: ClipConfig, tensors: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Rename and join a checkpoint's tensors into the state dict of `model`.

    Raises:
        CheckpointError: Names the tensors that are missing, left over or of a wrong shape.
    """
    expected = model.state_dict()
    table = dict(names(config))
    wanted = {theirs for parts in table.values() for theirs in parts}
    missing = sorted(wanted - tensors.keys())
    extra = sorted(tensors.keys() - wanted - _IGNORED)
    if missing or extra:
        raise CheckpointError(
            "The checkpoint's tensors are not those that its config.json describes."
            + _list("Missing", missing)
            + _list("Not expected", extra)
        )
    state: dict[str, Tensor] = {}
    for ours, parts in table.items():
        shape = tuple(expected[ours].shape)
        for part in parts:
            found = tuple(tensors[part].shape)
            wanted_shape = _their_shape(ours, shape, len(parts), config)
            if found != wanted_shape:
                raise CheckpointError(
                    f"The checkpoint's tensor {part} has shape {found}; "
                    f"its config.json asks for {wanted_shape}."
                )
        joined = torch.cat([tensors[part] for part in parts]) if parts[1:] else tensors[parts[0]]
        state[ours] = joined.reshape(shape)
    return state


def to_transformers(model: nn.Module, config: ClipConfig) -> dict[str, Tensor]:
    """Rename and split the state dict of `model` into the `transformers` layout."""
    state = model.state_dict()
    tensors: dict[str, Tensor] = {}
    for ours, parts in names(config):
        pieces = state[ours].chunk(len(parts)) if parts[1:] else (state[ours],)
        for part, piece in zip(parts, pieces, strict=True):
            shape = _their_shape(ours, tuple(state[ours].shape), len(parts), config)
            tensors[part] = piece.reshape(shape).contiguous()
    return tensors


def _their_shape(
    ours: str, shape: tuple[int, ...], parts: int, config: ClipConfig
) -> tuple[int, ...]:
    if ours == "vision.patch_embedding.weight":  # ours is a matrix, theirs a convolution kernel
        return shape[0], 3, config.vision.patch_size, config.vision.patch_size
    if parts > 1:
        return shape[0] // parts, *shape[1:]
    return shape


def _list(title: str, tensors: list[str]) -> str:
    if not tensors:
        return ""
    shown = ", ".join(tensors[:5])
    return f" {title}: {shown}" + (f" and {len(tensors) - 5} more." if tensors[5:] else ".")
