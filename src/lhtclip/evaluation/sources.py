"""Digests of what was counted, so that counts are never believed to be those of other files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from lhtclip.datasets.dataset import Sample
from lhtclip.errors import InputError, listed, reason_of
from lhtclip.files.digests import sha256_of_file


def files_of(sample: Sample) -> list[Path]:
    """Return the file of an image, and that of its ground truth if it has one of its own."""
    return [sample.image] if sample.labels is None else [sample.image, sample.labels]


def digest_of(files: Iterable[Path]) -> str:
    """Return a SHA-256 of files together.

    Raises:
        InputError: One of them cannot be read.
    """
    return hashlib.sha256("".join(map(_file_digest, files)).encode()).hexdigest()


def check_unchanged(
    keys: Sequence[str], files: Sequence[Sequence[Path]], digests: Sequence[str], *, remedy: str
) -> None:
    """Check that files are those that were counted or written.

    Args:
        keys: The images that were counted.
        files: The files of each.
        digests: Their `digest_of` at that time.
        remedy: What to do if they are not, as a sentence.

    Raises:
        InputError: Some have changed, or are not there.
    """
    each = zip(keys, files, digests, strict=True)
    changed = [key for key, paths, digest in each if not _is(paths, digest)]
    if changed:
        raise InputError(
            f"The counts are of other files: the image, the ground truth or the prediction of "
            f"{listed(changed)} has changed since, or is missing. {remedy}"
        )


def _is(files: Sequence[Path], digest: str) -> bool:
    try:
        return digest_of(files) == digest
    except InputError:
        return False


def _file_digest(path: Path) -> str:
    try:
        return sha256_of_file(path)
    except OSError as error:
        raise InputError(f"Cannot read {path}: {reason_of(error)}.") from error
