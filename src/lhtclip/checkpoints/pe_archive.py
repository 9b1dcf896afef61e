"""Meta's own files of a PE-Core: bare weights, whose shapes say which of the models it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from lhtclip.checkpoints.shapes import Shapes
from lhtclip.clip.open_clip import OPEN_CLIP_TENSORS
from lhtclip.clip.pe.config import TOWERS, PeConfig
from lhtclip.errors import CheckpointError

_POOL = "visual.attn_pool"
_PROBE = f"{_POOL}.probe"
_BIAS = "visual.proj_bias"  # timm's, which is zero in files converted from Meta's

PE_ARCHIVE_TENSORS = replace(
    OPEN_CLIP_TENSORS,
    top={
        **OPEN_CLIP_TENSORS.top,
        "vision.projection.bias": _BIAS,
        "vision.head.probe": _PROBE,
        **{
            f"vision.head.{ours}{kind}": f"{_POOL}.{theirs}{kind}"
            for kind in ("weight", "bias")
            for ours, theirs in {
                "attention.in_projection.": "attn.in_proj_",
                "attention.out_projection.": "attn.out_proj.",
                "norm.": "layernorm.",
                "mlp.expand.": "mlp.c_fc.",
                "mlp.contract.": "mlp.c_proj.",
            }.items()
        },
    },
)


def is_pe_archive(tensors: Mapping[str, Tensor]) -> bool:
    """Whether tensors are those of a PE-Core by Meta's names."""
    return _PROBE in tensors


def pe_archive_config(tensors: Mapping[str, Tensor], *, path: Path) -> PeConfig:
    """Return the configuration that Meta's tensors belong to.

    Raises:
        CheckpointError: It is none of the published models.
    """
    shapes = Shapes(tensors, path, kind="a PE-Core by Meta's names")
    width, _, _, patch = shapes.of("visual.conv1.weight", 4)
    tokens, _ = shapes.of("visual.positional_embedding", 2)
    layers = shapes.count("visual.transformer.resblocks.")
    class_token = "visual.class_embedding" in tensors
    for tower in TOWERS.values():
        found = (tower.hidden_size, tower.patch_size, tower.num_hidden_layers, tower.class_token)
        if found == (width, patch, layers, class_token):
            if tokens != tower.grid_size**2 + class_token:
                continue
            return PeConfig(tower, shapes.text("gelu"), shapes.of("text_projection", 2)[1])
    raise CheckpointError(
        f"{path} is not one of the published PE-Cores: its image tower has {layers} layers of "
        f"width {width}, patches of {patch} pixels and {tokens} positions."
    )


def as_modules(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors in the shapes of the tower, with a bias of zeros for its projection."""
    found = dict(tensors)
    for name in ("visual.class_embedding", "visual.positional_embedding"):
        if name in found:
            found[name] = found[name].reshape(1, -1, found[name].shape[-1])
    if "visual.proj" in found:
        found[_BIAS] = torch.zeros(found["visual.proj"].shape[-1])
    return found
