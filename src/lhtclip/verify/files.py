"""The files of a checkpoint are what their publisher named, byte for byte.

The hub's cache calls a weight file by its SHA-256, and OpenAI published those of its archives.
"""

from __future__ import annotations

import re
from pathlib import Path

from lhtclip.checkpoints.hub import OPENAI_ARCHIVES, sha256_of
from lhtclip.checkpoints.known_models import SHORT_NAMES

_DIGEST = re.compile(r"[0-9a-f]{64}")
_ARCHIVES = {  # file name: model
    "ViT-B-16.pt": "ViT-B-16",
    "ViT-B-32.pt": "ViT-B-32",
    "ViT-L-14.pt": "ViT-L-14",
    "ViT-L-14-336px.pt": "ViT-L-14-336",
}


def named_files(directory: Path) -> dict[Path, str]:
    """Return the files whose SHA-256 is known, and what it should be.

    Args:
        directory: A checkpoint's folder, or its one file.
    """
    if directory.name in _ARCHIVES:
        hub_id = SHORT_NAMES[_ARCHIVES[directory.name]]
        digests = {model: digest for digest, model in OPENAI_ARCHIVES.items()}
        return {directory: digests[hub_id]}
    paths = sorted(directory.iterdir()) if directory.is_dir() else [directory]
    real = {path: path.resolve().name for path in paths if path.is_symlink()}
    return {path: name for path, name in real.items() if _DIGEST.fullmatch(name)}


def changed_files(directory: Path) -> list[str]:
    """Return the names of the files that are not what they should be."""
    expected = named_files(directory)
    return [path.name for path, digest in expected.items() if sha256_of(path) != digest]
