"""The name of a model becomes a local folder: a path, the bundled model, or the hub's cache."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lhtclip.clip.layout import (
    LAYOUTS,
    PIXEL_FILE,
    TOKENIZER_FILE,
    TRANSFORMERS,
    Layout,
    layout_of,
)
from lhtclip.errors import CheckpointError, CheckpointNotFoundError, unknown

BUNDLED = "bundled"
BUNDLED_FOLDER = Path(__file__).parents[1] / "data" / "bundled"


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model with a short name; `hub_id` is empty for the one that comes with the package."""

    name: str
    hub_id: str
    note: str


KNOWN_MODELS: tuple[KnownModel, ...] = (
    KnownModel(BUNDLED, "", "small, comes with the package, knows scenes of emoji only"),
    KnownModel("ViT-B-16", "openai/clip-vit-base-patch16", "OpenAI, 150 M parameters"),
    KnownModel("ViT-B-32", "openai/clip-vit-base-patch32", "OpenAI, 151 M parameters"),
    KnownModel("ViT-L-14", "openai/clip-vit-large-patch14", "OpenAI, 428 M parameters"),
    KnownModel("ViT-L-14-336", "openai/clip-vit-large-patch14-336", "OpenAI, 428 M, 336 px"),
    KnownModel(
        "ViT-B-16-laion2b", "laion/CLIP-ViT-B-16-laion2B-s34B-b88K", "LAION-2B, 150 M parameters"
    ),
    KnownModel(
        "ViT-B-32-laion2b", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "LAION-2B, 151 M parameters"
    ),
    KnownModel(
        "ViT-L-14-laion2b", "laion/CLIP-ViT-L-14-laion2B-s32B-b82K", "LAION-2B, 428 M parameters"
    ),
    KnownModel(
        "ViT-H-14-laion2b", "laion/CLIP-ViT-H-14-laion2B-s32B-b79K", "LAION-2B, 986 M parameters"
    ),
)
SHORT_NAMES: dict[str, str] = {
    model.name: model.hub_id for model in KNOWN_MODELS if model.name != BUNDLED
}

_HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)


def canonical_name(name: str | Path) -> str:
    """Return "bundled", the id on the hub, or a folder's path as text: one name per model.

    Raises:
        UnknownNameError: A string that can be none of these.
    """
    if name == BUNDLED:
        return BUNDLED
    folder = _folder(name)
    return str(folder) if folder else _hub_id(str(name))


def resolve(name: str | Path, *, download: bool = True) -> Path:
    """Return the local folder with a model's configuration, weights and tokenizer.

    Nothing is asked of the network for a folder, for the bundled model, and for a model that is in
    the cache of `huggingface_hub`; its HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE and HF_TOKEN count.

    Args:
        name: "bundled", a name in `SHORT_NAMES`, an id on the hub ("organisation/model"), or the
            path of a folder. A folder that is called like one of the first two needs "./".
        download: Whether files that are missing may be fetched.

    Raises:
        UnknownNameError: A string that can be none of these.
        CheckpointNotFoundError: There is no such folder, or the model is not in the cache and
            cannot be fetched.
        CheckpointError: The path is that of a file.
    """
    folder = BUNDLED_FOLDER if name == BUNDLED else _folder(name)
    if folder is None:
        return _from_hub(str(name), download=download)
    if folder.is_dir():
        return folder
    if folder.exists():
        raise CheckpointError(
            f"{folder} is a file; a checkpoint is a folder with {TRANSFORMERS.config_file}, "
            f"{TRANSFORMERS.weight_files[0]} and {TOKENIZER_FILE}."
        )
    raise CheckpointNotFoundError(
        f"There is no checkpoint folder {folder}."
        + (" This installation lacks the bundled model." if name == BUNDLED else "")
    )


def _folder(name: str | Path) -> Path | None:
    """Return the folder that a name stands for, None for the name of a model."""
    text = os.path.expanduser(name)
    if isinstance(name, Path):
        return Path(text)
    if name in SHORT_NAMES or not name:
        return None
    is_path = os.path.exists(text) or os.path.isabs(text) or name.startswith((".", "~"))
    has_separator = "/" in name or os.sep in name
    return Path(text) if is_path or (has_separator and not _HUB_ID.fullmatch(name)) else None


def _hub_id(name: str) -> str:
    hub_id = SHORT_NAMES.get(name, name)
    if not _HUB_ID.fullmatch(hub_id):
        raise unknown("model", name, [BUNDLED, *SHORT_NAMES])
    return hub_id


def _from_hub(name: str, *, download: bool) -> Path:
    """Fetch what is needed and not in the cache, small files first, of the weights one kind."""
    hub_id = _hub_id(name)
    snapshot = _snapshot(hub_id)
    begun = layout_of(snapshot) if snapshot else None  # what was begun is completed
    if snapshot and begun and _is_complete(snapshot, begun):
        return snapshot
    fetch = partial(_fetch, hub_id, name, download=download)
    fetch_first = partial(_fetch_first, hub_id, name, download=download)
    config = fetch_first(*(layout.config_file for layout in ([begun] if begun else LAYOUTS)))
    layout = next(layout for layout in LAYOUTS if layout.config_file == config.name)
    fetch_first(TOKENIZER_FILE)
    if layout is TRANSFORMERS:
        fetch(PIXEL_FILE)
    fetch_first(*layout.weight_files)
    return config.parent


def _snapshot(hub_id: str) -> Path | None:
    """Return the folder of the cache that holds a model's configuration; asks no network."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.utils import HFValidationError

    try:
        found = (try_to_load_from_cache(hub_id, layout.config_file) for layout in LAYOUTS)
        return next((Path(config).parent for config in found if isinstance(config, str)), None)
    except HFValidationError:
        return None


def _is_complete(folder: Path, layout: Layout) -> bool:
    return (folder / TOKENIZER_FILE).is_file() and any(
        (folder / weights).is_file() for weights in layout.weight_files
    )


def _fetch_first(hub_id: str, name: str, *files: str, download: bool) -> Path:
    """Return the local path of the first of the files that the hub has."""
    for file in files:
        if path := _fetch(hub_id, name, file, download=download):
            return path
    raise CheckpointNotFoundError(
        f"The model {hub_id} has no {' or '.join(files)} on the hub; only models in the layout of "
        "`transformers` or OpenCLIP can be read."
    )


def _fetch(hub_id: str, name: str, file: str, *, download: bool) -> Path | None:
    """Return the local path of a file of the hub, None where the hub has no such file."""
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.utils import (
        EntryNotFoundError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    try:
        return Path(hf_hub_download(hub_id, file, local_files_only=not download))
    except LocalEntryNotFoundError as error:  # a kind of EntryNotFoundError with another meaning
        if not download:
            reason = "nothing was to be downloaded"
        elif constants.HF_HUB_OFFLINE:
            reason = "HF_HUB_OFFLINE forbids to download it"
        else:
            reason = "the hub cannot be reached"
        raise _not_here(hub_id, name, file, reason) from error
    except EntryNotFoundError:
        return None
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise CheckpointNotFoundError(
            f"The hub knows no model {hub_id} that may be read from here, and there is no folder "
            "of that name. Check the spelling; a private or gated model needs HF_TOKEN."
        ) from error
    except Exception as error:  # the client's and its transport's errors have no common root
        reason = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
        raise _not_here(hub_id, name, file, f"fetching it failed ({reason})") from error


def _not_here(hub_id: str, name: str, file: str, reason: str) -> CheckpointNotFoundError:
    from huggingface_hub import constants

    return CheckpointNotFoundError(
        f"{file} of {hub_id} is not in the cache {constants.HF_HUB_CACHE}, and {reason}. Run "
        f"`lhtclip download {name}` on a connected machine and bring its HF_HOME folder (by "
        "default ~/.cache/huggingface) here, with HF_HOME set to the copy; the model "
        f"{BUNDLED!r} needs no network."
    )
