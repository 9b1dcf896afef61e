"""Find files of the hub in the cache of `huggingface_hub`, or download them into it."""

from __future__ import annotations

import os
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

from lhtclip.errors import CheckpointNotFoundError, reason_of

_SECONDS = 2.5  # for an answer of the hub


def cached(hub_id: str, *files: str) -> Path | None:
    """Return the local path of the first file found in the cache; uses no network."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.utils import HFValidationError

    try:
        found = (try_to_load_from_cache(hub_id, file) for file in files)
        return next((Path(path) for path in found if isinstance(path, str)), None)
    except HFValidationError:
        return None


def fetch(hub_id: str, *files: str, name: str, download: bool) -> Path:
    """Return the local path of the first of these files that the hub has.

    Args:
        hub_id: "organisation/model".
        files: Names in order of preference.
        name: The user's name for the model.
        download: Whether files that are not in the cache may be downloaded.

    Raises:
        CheckpointNotFoundError: The hub has none of them, or none can be downloaded.
    """
    for file in files:
        path = fetch_optional(hub_id, file, name=name, download=download, wanted=file)
        if path:
            return path
    raise CheckpointNotFoundError(
        f"The model {hub_id} has no {' or '.join(files)} on the hub; only models in the layout of "
        "`transformers` or OpenCLIP can be read."
    )


def fetch_optional(
    hub_id: str, file: str, *, name: str, download: bool, wanted: str
) -> Path | None:
    """Return the local path of a file; None if the hub has no such file.

    Args:
        hub_id: "organisation/model".
        file: Its name on the hub.
        name: The user's name for the model.
        download: Whether it may be downloaded.
        wanted: The required file that errors report as missing.

    Raises:
        CheckpointNotFoundError: It is not in the cache and cannot be downloaded.
    """
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.utils import (
        EntryNotFoundError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    try:
        if download and not constants.HF_HUB_OFFLINE:
            look_up(hub_id, file)
        return Path(hf_hub_download(hub_id, file, local_files_only=not download))
    except LocalEntryNotFoundError as error:  # an EntryNotFoundError with another meaning
        if not download:
            reason = "downloads are turned off"
        elif constants.HF_HUB_OFFLINE:
            reason = "HF_HUB_OFFLINE forbids downloading it"
        else:
            reason = "the hub cannot be reached"
        raise _not_here(hub_id, name, wanted, reason) from error
    except EntryNotFoundError:
        return None
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise CheckpointNotFoundError(
            f"The hub has no model {hub_id} that this machine may read, and there is no folder "
            "of that name. Check the spelling; a private or gated model needs HF_TOKEN."
        ) from error
    except Exception as error:  # client and transport share no base class
        why = f"the download failed ({reason_of(error)})"
        raise _not_here(hub_id, name, wanted, why) from error


def look_up(hub_id: str, file: str) -> None:
    """Ask the hub for a file once; its own client would retry an unreachable hub for 30 seconds.

    The question is asked in a thread, because nothing else limits how long a name server that does
    not answer is waited for.

    Raises:
        LocalEntryNotFoundError: The hub cannot be reached, or does not answer in time.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.utils import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    seconds = _patience()
    answers: SimpleQueue[Exception | None] = SimpleQueue()

    def ask() -> None:
        try:
            get_hf_file_metadata(hf_hub_url(hub_id, file), timeout=seconds)
        except Exception as error:  # errors of its transport have no common base class
            answers.put(error)
        else:
            answers.put(None)

    Thread(target=ask, daemon=True).start()
    try:
        error = answers.get(timeout=seconds)
    except Empty:
        error = TimeoutError(f"no answer within {seconds:g} seconds")
    if isinstance(error, HFValidationError):
        raise error
    if error is not None and not isinstance(error, HfHubHTTPError):  # those are answers, too
        raise LocalEntryNotFoundError(f"The hub cannot be reached: {error}") from error


def _patience() -> float:
    """Return the seconds to wait for an answer: HF_HUB_ETAG_TIMEOUT if the user has set it."""
    from huggingface_hub import constants

    return constants.HF_HUB_ETAG_TIMEOUT if "HF_HUB_ETAG_TIMEOUT" in os.environ else _SECONDS


def _not_here(hub_id: str, name: str, file: str, reason: str) -> CheckpointNotFoundError:
    from huggingface_hub import constants

    return CheckpointNotFoundError(
        f"{file} of {hub_id} is not in the cache {constants.HF_HUB_CACHE}, and {reason}. Run "
        f"`lhtclip download {name}` on a connected machine and copy its HF_HOME folder (by "
        "default ~/.cache/huggingface) here, with HF_HOME set to the copy; the model 'bundled' "
        "needs no network."
    )
