"""Paths as users give them: text, or an object that stands for a path."""

from __future__ import annotations

import os
from pathlib import Path

from lhtclip.errors import InputError, shown


def as_path(name: str, given: object) -> Path:
    """Return a path that was given as text or as a path-like object.

    Args:
        name: What errors call it.
        given: The path; "." is the current folder, and an empty text is refused.

    Raises:
        InputError: It is something else, is empty, or holds characters that paths cannot have.
    """
    text = os.fspath(given) if isinstance(given, str | os.PathLike) else None
    if not isinstance(text, str):
        raise InputError(f"{name} must be a path (str or Path), not {shown(given)}.")
    if not text:
        raise InputError(f"{name} is an empty path; '.' is the current folder.")
    if "\0" in text:
        raise InputError(f"{name} is not a path: it contains a null character: {text!r}.")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise InputError(f"{name} is not a path, because of {text!r}'s characters.") from None
    return Path(text)
