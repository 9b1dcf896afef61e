"""Settings that say how image files and arrays become RGB levels if their format does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

from lhtclip.errors import InputError, check_kind, is_number, unknown

_MOST_BANDS = 4096


@dataclass(frozen=True, slots=True)
class ReadingSettings:
    """How stored values become the levels that the model sees.

    Attributes:
        range: The values that become black and white, such as (0, 3000) or "0,3000"; or
            percentiles, such as "2%,98%", which stretch each band separately. None uses the full
            range of the type: 255, 65535, or 1 for floating-point values.
        bands: The bands for red, green and blue, or a single band for grey, counted from 1, such
            as (4, 3, 2) or "4,3,2". None follows the file.
        alpha: "white" composites transparent images onto white; "ignore" uses the colours as
            stored, for a fourth band that is not transparency, such as near infrared.
    """

    range: str | Sequence[float] | None = None
    bands: str | Sequence[int] | None = None
    alpha: Literal["white", "ignore"] = "white"

    def __post_init__(self) -> None:
        """Validate and normalise the three settings."""
        if self.range is not None:
            object.__setattr__(self, "range", _checked_range(self.range))
        if self.bands is not None:
            object.__setattr__(self, "bands", _checked_bands(self.bands))
        check_kind("alpha", self.alpha, str)
        if self.alpha not in ("white", "ignore"):
            raise unknown("treatment of alpha", self.alpha, ("white", "ignore"))

    @property
    def limits(self) -> tuple[float, float] | None:
        """The values that become black and white; None unless given as values."""
        if self.range is None or isinstance(self.range, str):
            return None
        low, high = self.range
        return low, high

    @property
    def shares(self) -> tuple[float, float] | None:
        """The percentiles that become black and white; None unless given as percentiles."""
        if not isinstance(self.range, str):
            return None
        low, high = (float(part.rstrip("%")) for part in self.range.split(","))
        return low, high

    @property
    def places(self) -> tuple[int, ...] | None:
        """The bands counted from 0; None unless given."""
        if self.bands is None:
            return None
        return tuple(band - 1 for band in cast("tuple[int, ...]", self.bands))


PLAIN = ReadingSettings()


def _checked_range(given: object) -> str | tuple[float, float]:
    """Return two percentiles as text, or two values as numbers."""
    parts = _parts(given)
    percent = [isinstance(part, str) and part.endswith("%") for part in parts]
    try:
        low, high = (float(each.rstrip("%") if isinstance(each, str) else each) for each in parts)
    except (TypeError, ValueError, OverflowError):
        raise _bad_range(given) from None
    if not (is_number(low) and is_number(high) and low < high) or percent[0] != percent[1]:
        raise _bad_range(given)
    if not percent[0]:
        return low, high
    if low < 0 or high > 100:
        raise _bad_range(given)
    return f"{low:g}%,{high:g}%"


def _bad_range(given: object) -> InputError:
    return InputError(
        f"The range must be two rising values, such as 0,3000, or two rising percentiles, such as "
        f"2%,98%, not {given!r}."
    )


def _checked_bands(given: object) -> tuple[int, ...]:
    try:
        bands = tuple(int(part) if isinstance(part, str) else part for part in _parts(given))
    except ValueError:
        bands = ()
    valid = all(isinstance(band, int) and not isinstance(band, bool) for band in bands)
    if len(bands) not in (1, 3) or not valid or not all(1 <= b <= _MOST_BANDS for b in bands):
        raise InputError(
            f"The bands must be one or three numbers counted from 1, such as 4,3,2, not {given!r}."
        )
    return cast("tuple[int, ...]", bands)


def _parts(given: object) -> list[str | float]:
    if isinstance(given, str):
        return [part.strip() for part in given.split(",")]
    if isinstance(given, int):
        return [given]
    return list(cast("Sequence[float]", given)) if isinstance(given, list | tuple) else []
