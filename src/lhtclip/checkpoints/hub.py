"""From the name of a model to a local path: its own, the bundled model's, or one in the cache."""

from __future__ import annotations

import os
import re
from pathlib import Path

from lhtclip.checkpoints.aliases import known_as
from lhtclip.checkpoints.download import from_hub
from lhtclip.checkpoints.fetch import cached, fetch
from lhtclip.checkpoints.known_models import BARE_WEIGHTS, BUNDLED, SHORT_NAMES, say_limits
from lhtclip.checkpoints.layout import (
    LAYOUTS,
    TOKENIZER_FILE,
    TRANSFORMERS,
    WEIGHT_SUFFIXES,
    layout_of,
)
from lhtclip.errors import CheckpointError, CheckpointNotFoundError, reason_of, unknown
from lhtclip.files.digests import sha256_of_file

BUNDLED_FOLDER = Path(__file__).parents[1] / "data" / "bundled"
ARCHIVE_SUFFIX = ".pt"


# OpenAI's own archives, by their published SHA-256, and their hub ids.
OPENAI_ARCHIVES: dict[str, str] = {
    "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f": SHORT_NAMES["ViT-B-16"],
    "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af": SHORT_NAMES["ViT-B-32"],
    "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836": SHORT_NAMES["ViT-L-14"],
    "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02": SHORT_NAMES["ViT-L-14-336"],
}
_OPENAI_TOKENIZER = "ViT-B-32"  # the model whose tokenizer they all use

_HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)


def canonical_name(name: str | Path) -> str:
    """Return "bundled", the address on the hub, or a path as text: one name per model.

    An archive published by OpenAI has the name of the same network on the hub. Bare weights have
    their file behind the id ("organisation/model/file.pt").

    Raises:
        UnknownNameError: The string is none of these.
        CheckpointError: An archive cannot be read.
    """
    if name == BUNDLED:
        return BUNDLED
    name = _known_as(name)
    path = _path(name)
    return (_published_as(path) or str(path)) if path else _address(str(name))


def resolve(name: str | Path, *, download: bool = True) -> Path:
    """Return the local folder with a model's configuration, weights and tokenizer, or its archive.

    A folder, the bundled model and models in the cache of `huggingface_hub` need no network.
    HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE and HF_TOKEN apply.

    Args:
        name: "bundled", a name in `SHORT_NAMES`, an id on the hub ("organisation/model"), or the
            path of a folder or of an archive of OpenAI's (`.pt`). A folder with the name of one
            of the first two needs "./". Known models of bare weights become the file in the cache.
        download: Whether missing files may be downloaded.

    Raises:
        UnknownNameError: The string is none of these.
        CheckpointNotFoundError: There is no such folder or archive, or the model or an archive's
            tokenizer is not in the cache and cannot be downloaded.
        CheckpointError: The path is that of another file.
    """
    name = _known_as(name)
    path = BUNDLED_FOLDER if name == BUNDLED else _path(name)
    if path is None:
        return _from_hub(_address(str(name)), name=str(name), download=download)
    if path.is_dir():
        return path
    if path.is_file() and path.suffix == ARCHIVE_SUFFIX:
        tokenizer_of(path, download=download)
        return path
    if path.exists():
        remedy = f" Give its folder, {path.parent}." if layout_of(path.parent) else ""
        raise CheckpointError(
            f"{path} is a file; a checkpoint is a folder with {TRANSFORMERS.config_file}, "
            f"{TRANSFORMERS.weight_files[0]} and {TOKENIZER_FILE}, or one of OpenAI's archives, "
            f"*{ARCHIVE_SUFFIX}.{remedy}"
        )
    kind = "file" if path.suffix in (ARCHIVE_SUFFIX, *WEIGHT_SUFFIXES) else "folder"
    raise CheckpointNotFoundError(
        f"There is no checkpoint {kind} {path}."
        + (" This installation lacks the bundled model." if name == BUNDLED else "")
    )


def _from_hub(address: str, *, name: str, download: bool) -> Path:
    bare = BARE_WEIGHTS.get(address)
    hub_id = bare.hub_id if bare else address
    first = (bare.file,) if bare else tuple(layout.config_file for layout in LAYOUTS)
    found = cached(hub_id, *first)
    if download and not found:
        say_limits(address)
    if bare is None:
        return from_hub(hub_id, name=name, download=download)
    weights = found or fetch(hub_id, bare.file, name=name, download=download)
    tokenizer_of(weights, download=download)
    return weights


def tokenizer_of(archive: Path, *, download: bool = False) -> Path:
    """Return the tokenizer for an archive of OpenAI's: a file next to it, or the shared one.

    Raises:
        CheckpointNotFoundError: There is none next to it or in the cache, and no download.
    """
    beside = archive.parent / TOKENIZER_FILE
    if beside.is_file():
        return beside
    hub_id = SHORT_NAMES[_OPENAI_TOKENIZER]
    try:
        return cached(hub_id, TOKENIZER_FILE) or fetch(
            hub_id, TOKENIZER_FILE, name=_OPENAI_TOKENIZER, download=download
        )
    except CheckpointNotFoundError as error:
        raise CheckpointNotFoundError(
            f"{archive} carries no tokenizer, and there is no {TOKENIZER_FILE} next to it. {error}"
        ) from error


def _known_as(name: str | Path) -> str | Path:
    return known_as(name) if isinstance(name, str) else name


def _path(name: str | Path) -> Path | None:
    """Return the path that a name means; None for the name of a model."""
    text = os.path.expanduser(name)
    if isinstance(name, Path):
        return Path(text)
    if name in SHORT_NAMES or name in BARE_WEIGHTS or not name:
        return None
    is_path = os.path.exists(text) or os.path.isabs(text) or name.startswith((".", "~"))
    has_separator = "/" in name or os.sep in name
    is_path |= name.endswith(ARCHIVE_SUFFIX) or (has_separator and not _HUB_ID.fullmatch(name))
    return Path(text) if is_path else None


def _published_as(path: Path) -> str | None:
    if path.suffix != ARCHIVE_SUFFIX or not path.is_file():
        return None
    return OPENAI_ARCHIVES.get(sha256_of(path))


def sha256_of(path: Path) -> str:
    """Hash a file of weights, once for as long as it does not change.

    Raises:
        CheckpointError: It cannot be read.
    """
    try:
        return sha256_of_file(path)
    except OSError as error:
        raise CheckpointError(f"Cannot read {path}: {reason_of(error)}.") from error


def _address(name: str) -> str:
    address = SHORT_NAMES.get(name, name)
    if not (address in BARE_WEIGHTS or _HUB_ID.fullmatch(address)):
        raise unknown("model", name, [BUNDLED, *SHORT_NAMES])
    return address
