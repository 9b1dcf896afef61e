"""Digests of what was counted, so that counts are never believed to be those of other files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from lhtclip.datasets.dataset import Sample
from lhtclip.errors import InputError, listed, reason_of
from lhtclip.files.digests import sha256_of_file


def digest_of(sample: Sample) -> str:
    """Return a SHA-256 of an image's file and of the file of its ground truth.

    Raises:
        InputError: One of them cannot be read.
    """
    files = [sample.image] if sample.labels is None else [sample.image, sample.labels]
    return hashlib.sha256("".join(map(_file_digest, files)).encode()).hexdigest()


def check_unchanged(samples: Sequence[Sample], digests: Sequence[str], *, remedy: str) -> None:
    """Check that files are those that were counted.

    Args:
        samples: The images that were counted.
        digests: Their `digest_of` at that time.
        remedy: What to do if they are not, as a sentence.

    Raises:
        InputError: Some have changed.
    """
    changed = [
        sample.key
        for sample, digest in zip(samples, digests, strict=True)
        if digest_of(sample) != digest
    ]
    if changed:
        raise InputError(
            f"The counts are of other files: the image or the ground truth of {listed(changed)} "
            f"has changed since. {remedy}"
        )


def _file_digest(path: Path) -> str:
    try:
        return sha256_of_file(path)
    except OSError as error:
        raise InputError(f"Cannot read {path}: {reason_of(error)}.") from error
