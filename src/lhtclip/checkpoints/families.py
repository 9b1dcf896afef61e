"""The kinds of model that can be read, by what a layout's configuration says of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from lhtclip.clip.bert.biomed import BIOMED
from lhtclip.clip.bert.chinese import CHINESE
from lhtclip.clip.dinotxt import DINO_TXT
from lhtclip.clip.eva import EVA
from lhtclip.clip.family import Family
from lhtclip.clip.metaclip2 import METACLIP2
from lhtclip.clip.model import CLIP
from lhtclip.clip.open_clip import OPEN_CLIP_CLIP
from lhtclip.clip.pe import PE_CORE
from lhtclip.clip.siglip import SIGLIP
from lhtclip.clip.tips import TIPS
from lhtclip.errors import CheckpointError, InputError

# In the layout of `transformers`, by the `model_type` of a `config.json`.
FAMILIES: dict[str, Family] = {
    "chinese_clip": CHINESE,
    "clip": CLIP,
    "dino_txt": DINO_TXT,
    "metaclip_2": METACLIP2,
    "siglip": SIGLIP,
    "tipsv2": TIPS,
}
# In OpenCLIP's layout, by what the `timm_model_name` of its image tower begins with.
OPEN_CLIP_FAMILIES: dict[str, Family] = {
    "eva02_": EVA,
    "vit_base_patch16_224": BIOMED,
    "vit_pe_core_": PE_CORE,
}
_NOT_IMPLEMENTED = {
    "siglip2": "a SigLIP 2 of variable resolution (NaFlex), which is not implemented; use one of "
    "fixed resolution, such as google/siglip2-base-patch16-224",
}


_ONLY_READ = frozenset({"dino_txt"})  # from the files of its authors, of which parts are left out
_TIPS_TOWER = "_tipsv2"  # how timm's names of its towers end


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


def family_to_save(content: Mapping[str, Any]) -> Family:
    """Look up the family of a `config.json` that is to be written.

    Raises:
        InputError: Models of its kind are only read.
    """
    kind = str(content.get("model_type"))
    if kind not in FAMILIES or kind in _ONLY_READ:
        known = sorted(FAMILIES.keys() - _ONLY_READ)
        raise InputError(
            f"A model of this kind ({kind}) cannot be saved, only read. Those that can be saved: "
            f"{', '.join(known)}. Copy the files that it was loaded from."
        )
    return FAMILIES[kind]


def open_clip_family_of(content: Mapping[str, Any]) -> Family:
    """Look up the family of an `open_clip_config.json`; others than those of timm are CLIPs.

    Raises:
        CheckpointError: It is a TIPSv2, whose authors' files are read instead.
    """
    inner: Any = content
    for key in ("model_cfg", "vision_cfg", "timm_model_name"):
        inner = cast("Mapping[str, Any]", inner).get(key) if isinstance(inner, Mapping) else None
    name = str(inner)
    if name.endswith(_TIPS_TOWER):
        raise CheckpointError(
            f"open_clip_config.json describes a TIPSv2 ({name}), which is not read in OpenCLIP's "
            "layout; use its authors' files of the same weights, such as google/tipsv2-b14."
        )
    found = (family for start, family in OPEN_CLIP_FAMILIES.items() if name.startswith(start))
    return next(found, OPEN_CLIP_CLIP)
