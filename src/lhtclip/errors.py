"""One tree of errors: `LhtClipError` covers everything that a user can cause.

LhtClipError
├── InputError                 an argument, image, class list or output path that cannot be used
│   ├── UnknownNameError       a method, model or option that does not exist
│   └── OutputError            results that cannot be written: disk full, read-only, in use
├── CheckpointError            a checkpoint that exists but cannot be used
├── CheckpointNotFoundError    a checkpoint that is missing and cannot be downloaded
└── MissingDependencyError     an optional package that is not installed
"""

from __future__ import annotations

import difflib
import math
import reprlib
from collections.abc import Callable, Iterable, Sequence
from numbers import Integral

_MOST = (1 << 63) - 1  # of whole numbers


class LhtClipError(Exception):
    """Root of the errors that a user can cause; the message is one or two clear sentences."""


class InputError(LhtClipError, ValueError):
    """An argument, image, class list or output path that cannot be used."""


class UnknownNameError(InputError):
    """A name that is not in its table."""


class OutputError(InputError):
    """Results cannot be written at all, whatever the image: the disk is full, or in use."""


class CheckpointError(LhtClipError):
    """A checkpoint that was found but is incomplete, malformed or unreadable."""


class CheckpointNotFoundError(LhtClipError):
    """A checkpoint that is not on disk and cannot be downloaded."""


class MissingDependencyError(LhtClipError, ImportError):
    """An optional package that is needed and not installed."""


def unknown(kind: str, given: object, allowed: Iterable[str]) -> UnknownNameError:
    """Build the error for an unknown name, with the nearest known names.

    Args:
        kind: What the name is, as the user would call it ("method", "model").
        given: The name as typed.
        allowed: All known names.
    """
    names = list(allowed)
    typed = str(given).lower()
    lower = [name.lower() for name in names]
    longer = [name for name in lower if typed and name.startswith(typed)]
    longer = longer or [name for name in lower if len(typed) > 2 and typed in name]
    near = longer or difflib.get_close_matches(typed, lower, n=1)
    guess = next((name for name in names if near and name.lower() == near[0]), None)
    hint = f" Did you mean {guess!r}?" if guess else ""
    return UnknownNameError(f"Unknown {kind} {shown(given)}.{hint} Available: {', '.join(names)}.")


def is_list(value: object) -> bool:
    """Whether something is a sequence, but no text."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray)


def is_whole(value: object, *, least: int = 1) -> bool:
    """Whether a value from a file or a user is a whole number from `least` on, of 64 bits."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= _MOST


def shown(value: object) -> str:
    """Write out what was given, in one line and not too long."""
    return " ".join(reprlib.repr(value).split())


def check_kind(name: str, value: object, *kinds: type) -> None:
    """Check the type of a setting.

    Raises:
        InputError: It is of none of these types.
    """
    if not isinstance(value, kinds):
        allowed = " or ".join("None" if kind is type(None) else kind.__name__ for kind in kinds)
        raise InputError(f"{name} must be {allowed}, not {shown(value)}.")


def check_choice(name: str, value: object, allowed: Sequence[object]) -> None:
    """Check that a setting is one of few values.

    Raises:
        InputError: It is none of them.
    """
    if not any(type(value) is type(each) and value == each for each in allowed):
        choices = ", ".join(map(repr, allowed))
        raise InputError(f"{name} must be one of {choices}, not {shown(value)}.")


def check_text(name: str, value: object) -> None:
    """Check that something is text that files can hold.

    Raises:
        InputError: It is of another type, or made of bytes that are not text.
    """
    check_kind(name, value, str)
    try:
        str(value).encode()
    except UnicodeEncodeError:
        raise InputError(f"{name} has bytes that are not text: {value!r:.80}.") from None


def check_callback(name: str, value: object) -> None:
    """Check that something can be called, or is None.

    Raises:
        InputError: It cannot.
    """
    if value is not None and not isinstance(value, Callable):
        raise InputError(f"{name} must be a function or None, not {shown(value)}.")


def whole(name: str, value: object, *, least: int = 0) -> int:
    """Return a whole number of any type, such as NumPy's, as an int.

    Raises:
        InputError: It is no whole number, or below `least`.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < least:
        raise InputError(f"{name} must be a whole number from {least} on, not {shown(value)}.")
    if int(value) > _MOST:
        raise InputError(f"{name} must be a whole number of 64 bits, not {shown(value)}.")
    return int(value)


def listed(things: Sequence[object], *, most: int = 5) -> str:
    """Write out the first few of many things, and how many more there are."""
    text = ", ".join(map(str, things[:most]))
    more = len(things) - most
    return f"{text} and {more} more" if more > 0 else text


def is_number(value: object) -> bool:
    """Whether a value from a file or a user is a finite number."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond what a float holds
        return False


def reason_of(error: BaseException) -> str:
    """Return why something failed: the system's words, the message's first line, or the type."""
    system = getattr(error, "strerror", None)
    return system or str(error).partition("\n")[0].rstrip(".") or type(error).__name__
