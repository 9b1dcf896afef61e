"""Weight files to tensors by name: whole or in parts, plain or from a training script.

Nothing in a file runs. Its unpacked size is compared with its size before it is read.
"""

from __future__ import annotations

import logging
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file
from torch import Tensor

from lhtclip.checkpoints.layout import Layout
from lhtclip.checkpoints.openai_archive import is_torchscript, read_torchscript
from lhtclip.errors import CheckpointError, CheckpointNotFoundError, listed, reason_of
from lhtclip.files.regular_files import open_regular

VARIANTS = ("", ".fp16", ".bf16")  # the hub's marks of lower precision
_PART = re.compile(r"-(\d+)-of-(\d+)$")
# Where training scripts put the weights, next to an epoch, an optimiser and the like.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "net", "network", "weights")
# What wrappers put before the names of the modules inside them: compiled, sharded, checkpointed.
_MARKS = re.compile(r"(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
# Parts of a model, unlike what wrappers put before each name of a whole one: "module.", "model.".
_PARTS = re.compile(r"(vision|text|visual|transformer|image)", re.IGNORECASE)
_COUNTERS = frozenset({"n_averaged"})  # of torch.optim.swa_utils.AveragedModel
_MOST_UNPACKED = 2.0  # times the size of the file
_logger = logging.getLogger("lhtclip")


def weight_files(directory: Path, layout: Layout) -> list[Path]:
    """Return the file with the weights, or the files with a part each; empty if there are none.

    Other files, `*.pth`, count as parts where there is no file of the layout.

    Raises:
        CheckpointNotFoundError: Some parts are missing.
    """
    for variant in VARIANTS:
        for name in layout.weight_files:
            stem, suffix = name.rsplit(".", 1)
            whole = directory / f"{stem}{variant}.{suffix}"
            if whole.is_file():
                return [whole]
            parts = sorted(directory.glob(f"{stem}{variant}-*-of-*.{suffix}"))
            if parts:
                return _complete(parts)
    return sorted(directory.glob("*.pth"))


def read_weights(*paths: Path, instead: str) -> dict[str, Tensor]:
    """Read the tensors of files by name, as stored, without prefixes of wrappers.

    Args:
        paths: The files, which together have each tensor once.
        instead: The file that errors recommend instead of one that is not loaded.

    Raises:
        CheckpointError: A file is broken, has more than tensors, or unpacks to much more than its
            size, or two have the same tensor.
    """
    tensors: dict[str, Tensor] = {}
    for path in paths:
        part = _read(path, instead)
        twice = sorted(tensors.keys() & part.keys())
        if twice:
            raise CheckpointError(
                f"{path} holds the tensor {twice[0]}, and so does another of the files with "
                f"weights in {path.parent}: leave one model's there."
            )
        tensors |= part
    for name, tensor in tensors.items():
        _check_stored(name, tensor, paths[0])
    plain = _plain_names(tensors)
    if len(plain) < len(tensors.keys() - _COUNTERS):
        raise CheckpointError(
            f"{paths[0]} holds several sets of weights, such as compiled and plain ones: save one "
            "of them alone."
        )
    return plain


def _complete(parts: list[Path]) -> list[Path]:
    numbers = [found for path in parts if (found := _PART.search(path.stem))]
    present = {int(number[1]) for number in numbers}
    count = max((int(number[2]) for number in numbers), default=0)
    missing = sorted(set(range(1, min(count, 1000) + 1)) - present)
    if missing or len(parts) != count:
        raise CheckpointNotFoundError(
            f"The weights in {parts[0].parent} come in {count} parts, of which "
            f"{', '.join(map(str, missing[:5])) or 'some'} are missing. Download or copy them "
            "again."
        )
    return parts


def _read(path: Path, instead: str) -> dict[str, Tensor]:
    try:
        open_regular(path).close()
        if path.suffix == ".safetensors":
            return load_file(path)
        if zipfile.is_zipfile(path):
            _check_unpacked(path)
        if is_torchscript(path):
            return read_torchscript(path)
        with warnings.catch_warnings():  # of how it was saved; errors say more
            warnings.simplefilter("ignore")
            content = torch.load(
                path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
            )
    except CheckpointError:
        raise
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is not loaded: it is broken, or holds more than tensors and could run code. "
            f"Use {instead} in its place. If it is your own training checkpoint, save only its "
            "weights: torch.save(checkpoint['state_dict'], ...)."
        ) from error
    except Exception as error:  # the errors of broken pickles and archives have no common base
        raise unreadable(path, error) from error
    return _unwrapped(content, path)


def unreadable(path: Path, error: Exception) -> CheckpointError:
    """Build the error for a file that cannot be read."""
    return CheckpointError(f"Cannot read {path}: {reason_of(error)}. Download or copy it again.")


def _check_unpacked(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    size = path.stat().st_size
    if unpacked > _MOST_UNPACKED * size:
        raise CheckpointError(
            f"{path} is not loaded: it has {size / 1e6:.1f} MB and unpacks to "
            f"{unpacked / 1e6:.1f} MB, which no checkpoint does. Download or copy it again."
        )


def _check_stored(name: str, tensor: Tensor, path: Path) -> None:
    if tensor.layout != torch.strided or tensor.is_quantized:
        raise CheckpointError(f"{path}: the tensor {name} is sparse or quantised; save it dense.")
    stored = tensor.untyped_storage().nbytes()
    if tensor.numel() * tensor.element_size() > stored:
        raise CheckpointError(
            f"{path}: the tensor {name} claims the shape {tuple(tensor.shape)}, but the file holds "
            f"{stored} bytes of it."
        )
    if tensor.is_floating_point() and not tensor.sum(dtype=torch.float32).isfinite():
        raise CheckpointError(
            f"{path}: the tensor {name} holds values that are not finite: the training failed, or "
            "the file is damaged. Use an earlier checkpoint."
        )


def _unwrapped(content: object, path: Path) -> dict[str, Tensor]:
    """Find the tensors in what a training script saved."""
    for _ in range(4):
        entries = cast("dict[Any, Any]", content) if isinstance(content, dict) else {}
        if entries and all(isinstance(value, Tensor) for value in entries.values()):
            return {str(name): tensor for name, tensor in entries.items()}
        inner = [key for key in _WRAPPERS if isinstance(entries.get(key), dict)]
        if not inner:
            break
        others = [str(key) for key in entries if key != inner[0]]
        if others:
            _logger.info("%s: the weights are %r; left out: %s.", path, inner[0], others)
        if weights := [key for key in others if key != inner[0] and _holds_tensors(entries[key])]:
            _logger.warning(
                "%s holds several sets of weights: %r is read, and %s left out. To use another "
                "one, save it alone: torch.save(checkpoint[%r], ...).",
                path,
                inner[0],
                listed(weights),
                weights[0],
            )
        content = entries[inner[0]]
    keys = ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
    raise CheckpointError(
        f"{path} should hold tensors by name; it holds something else: {keys[:200] or 'nothing'}."
    )


def _holds_tensors(value: object) -> bool:
    entries = cast("dict[Any, Any]", value) if isinstance(value, dict) else {}
    return bool(entries) and all(isinstance(each, Tensor) for each in entries.values())


def _plain_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    plain = {
        _MARKS.sub("", name): tensor for name, tensor in tensors.items() if name not in _COUNTERS
    }
    while prefix := _shared_prefix(plain):
        plain = {name.removeprefix(prefix): tensor for name, tensor in plain.items()}
    return plain


def _shared_prefix(names: Mapping[str, Any]) -> str | None:
    """Return the first part of names, if all share it and it is no part of a model."""
    firsts = {name.partition(".")[0] for name in names if "." in name}
    if len(firsts) != 1 or not all("." in name for name in names):
        return None
    (first,) = firsts
    return None if _PARTS.match(first) else f"{first}."
