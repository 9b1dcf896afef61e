"""All files of a model on the hub: small ones first, then the weights, whole or in parts."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any, cast

from lhtclip.checkpoints.fetch import cached, fetch, fetch_optional
from lhtclip.checkpoints.layout import (
    LAYOUTS,
    PIXEL_FILE,
    PROCESSOR_FILE,
    TOKENIZER_FILE,
    TRANSFORMERS,
    Layout,
    layout_of,
)
from lhtclip.clip.tokenizer_files import (
    MERGES_FILE,
    SENTENCEPIECE_FILE,
    VOCABULARY_FILE,
    WORDS_FILE,
)
from lhtclip.errors import CheckpointError
from lhtclip.files.json_files import read_json

# The files of a tokenizer, in order of preference.
_TOKENIZERS = (
    (TOKENIZER_FILE,),
    (VOCABULARY_FILE, MERGES_FILE),
    (SENTENCEPIECE_FILE,),
    (WORDS_FILE,),
)
_INDEX = ".index.json"  # behind the name of weights that come in parts
_PART = re.compile(r"[\w.-]+-\d+-of-\d+\.(safetensors|bin)")
_MOST_PARTS = 1000


def from_hub(hub_id: str, *, name: str, download: bool) -> Path:
    """Return the folder of a model, with what was missing fetched.

    Args:
        hub_id: "organisation/model".
        name: What the user calls it.
        download: Whether missing files may be fetched.

    Raises:
        CheckpointNotFoundError: The hub has no such model or no such file, or it cannot be fetched.
        CheckpointError: The index of its parts cannot be read.
    """
    config = cached(hub_id, *(layout.config_file for layout in LAYOUTS))
    begun = layout_of(config.parent) if config else None  # complete what was started
    if config and begun and _is_complete(config.parent, begun):
        return config.parent
    fetch_first = partial(fetch, hub_id, name=name, download=download)
    config = fetch_first(*(layout.config_file for layout in ([begun] if begun else LAYOUTS)))
    layout = next(layout for layout in LAYOUTS if layout.config_file == config.name)
    optional = partial(fetch_optional, hub_id, name=name, download=download)
    for first, *others in _TOKENIZERS:
        if optional(first, wanted=TOKENIZER_FILE):
            for file in others:
                fetch_first(file)
            break
    else:
        fetch_first(TOKENIZER_FILE)  # raises the error that names it
    if layout is TRANSFORMERS:  # before the weights, which make a model complete
        for file in (PIXEL_FILE, PROCESSOR_FILE):
            optional(file, wanted=layout.weight_files[0])
    for file in layout.weight_files:
        if optional(file, wanted=file):
            return config.parent
        if index := optional(file + _INDEX, wanted=file):
            for part in _parts_of(index):
                fetch_first(part)
            return config.parent
    fetch_first(*layout.weight_files)
    return config.parent


def _is_complete(folder: Path, layout: Layout) -> bool:
    if not any(all((folder / name).is_file() for name in names) for names in _TOKENIZERS):
        return False
    if any((folder / name).is_file() for name in layout.weight_files):
        return True
    indices = (folder / (name + _INDEX) for name in layout.weight_files)
    index = next((path for path in indices if path.is_file()), None)
    return index is not None and all((folder / part).is_file() for part in _parts_of(index))


def _parts_of(index: Path) -> list[str]:
    """Read the names of the parts, which must be plain names of parts: they are fetched."""
    try:
        content = cast("dict[str, Any]", read_json(index))
        parts = sorted(set(content["weight_map"].values()))
        sound = 0 < len(parts) <= _MOST_PARTS and all(map(_PART.fullmatch, parts))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        parts, sound = [], False
    if not sound:
        raise CheckpointError(
            f"{index} should name the parts of the weights, such as "
            "model-00001-of-00002.safetensors, and does not. Delete it, and download it again."
        )
    return parts
