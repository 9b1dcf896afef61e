"""The kinds of model that a `config.json` of `transformers` can describe, by its `model_type`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lhtclip.clip.family import Family
from lhtclip.clip.model import CLIP
from lhtclip.clip.siglip import SIGLIP
from lhtclip.errors import CheckpointError

FAMILIES: dict[str, Family] = {
    "clip": CLIP,
    "siglip": SIGLIP,
}
_NOT_IMPLEMENTED = {
    "siglip2": "a SigLIP 2 of variable resolution (NaFlex), which is not implemented; use one of "
    "fixed resolution, such as google/siglip2-base-patch16-224",
}


def family_of(content: Mapping[str, Any]) -> Family:
    """Look up the family of a `config.json`; without a model type it is CLIP.

    Raises:
        CheckpointError: It is a model that cannot be read.
    """
    kind = str(content.get("model_type", "clip"))
    if kind in _NOT_IMPLEMENTED:
        raise CheckpointError(f"config.json describes {_NOT_IMPLEMENTED[kind]}.")
    if kind not in FAMILIES:
        raise CheckpointError(
            f"config.json describes a model of type {kind!r}. Known types: {', '.join(FAMILIES)}."
        )
    return FAMILIES[kind]
