"""Scale values of any type to levels from 0 to 255.

The scale comes from the given range or from the type (255, 65535 or 1), never from the brightest
pixel. A warning is logged if nearly the whole image would be black.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import numpy.typing as npt

from lhtclip.errors import InputError
from lhtclip.image.settings import ReadingSettings

_FULL_8 = 255
_DARK = 0.25  # of the full range; what lies below nearly everywhere was stored in a part of it
_SAMPLED = 1 << 20  # values that percentiles are taken from
_ROWS = 1 << 22  # values that are scaled at once
_SEEN_THROUGH = 0.25
_logger = logging.getLogger("lhtclip")


def to_levels(
    values: npt.NDArray[Any], settings: ReadingSettings, *, name: str, full: float | None = None
) -> npt.NDArray[np.uint8]:
    """Scale values (height, width, bands) to levels.

    Args:
        values: Of any number type.
        settings: The range, if one was given.
        name: What warnings and errors call the image.
        full: The value that becomes white unless a range is given; None if the type implies none
            and a range is required.

    Raises:
        InputError: The values cannot be scaled without a range, or none of them is a number.
    """
    if settings.shares is not None:
        bounds = [_percentiles(band, settings.shares, name) for band in np.moveaxis(values, -1, 0)]
    elif settings.limits is not None:
        bounds = [settings.limits] * values.shape[-1]
    elif full is None:
        low, high = _extremes(values, name)
        raise InputError(
            f"{name} holds values of type {values.dtype} from {low:g} to {high:g}. Set those for "
            "black and white: --range LOW,HIGH or --range 2%,98% (in Python "
            "ReadingSettings(range=...))."
        )
    elif values.dtype == np.uint8 and full == _FULL_8:
        return values
    else:
        warn_if_dark(values, full, name=name)
        bounds = [(0.0, float(full))] * values.shape[-1]
    return _scaled(values, bounds)


def warn_if_dark(values: npt.NDArray[Any], full: float, *, name: str) -> None:
    """Warn if nearly all values lie in a small part of the range, so that the image is dark.

    Args:
        values: Of any shape.
        full: The value that becomes white.
        name: What the warning calls the image.
    """
    some = _some(values)
    some = some[(some > 0) & (some < full)]  # both ends may stand for "no data"
    if some.size == 0:
        return
    high = float(np.percentile(some, 99))
    if high < _DARK * full:
        _logger.warning(
            "%s uses a small part of its range: nearly all values are below %.6g of %.6g, so the "
            "model sees levels below %d of 255. If that is too dark, stretch it: --range 2%%,98%% "
            "or --range LOW,HIGH (in Python ReadingSettings(range=...)).",
            name,
            high,
            full,
            round(255 * high / full) + 1,
        )


def warn_if_seen_through(alpha: npt.NDArray[Any], *, name: str) -> None:
    """Warn if a band that is used as transparency does not look like it.

    Real transparency is mostly all or nothing. Intermediate values nearly everywhere, or an image
    that is fully transparent, suggest some other band.

    Args:
        alpha: Levels (height, width), 0 to 255.
        name: What the warning calls the image.
    """
    between = float(np.mean((alpha > 0) & (alpha < 255)))
    if between > _SEEN_THROUGH or int(alpha.max(initial=0)) == 0:
        share = float(np.mean(alpha < 255))
        _logger.warning(
            "%s: its last band is used as transparency, which mixes white into %.0f %% of its "
            "pixels. If it is another band, such as near infrared, pass --alpha ignore (in Python "
            "ReadingSettings(alpha='ignore')).",
            name,
            100 * share,
        )


def _percentiles(
    band: npt.NDArray[Any], shares: tuple[float, float], name: str
) -> tuple[float, float]:
    some = _some(band)
    if some.size == 0:
        raise InputError(f"{name} has a band that contains no finite number.")
    low, high = (float(each) for each in np.percentile(some, shares))
    return (low, high) if low < high else (low, low + 1)


def _some(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return an even sample of at most a few million finite values."""
    flat = values.reshape(-1)
    some = flat[:: max(1, flat.size // _SAMPLED)]
    return some[np.isfinite(some)] if np.issubdtype(some.dtype, np.floating) else some


def _extremes(values: npt.NDArray[Any], name: str) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        raise InputError(f"{name} contains no finite number.")
    return float(finite.min()), float(finite.max())


def _scaled(values: npt.NDArray[Any], bounds: list[tuple[float, float]]) -> npt.NDArray[np.uint8]:
    """Map each band's bounds to 0 and 255, rounding half up; NaN becomes black."""
    levels = np.empty(values.shape, dtype=np.uint8)
    rows = max(1, _ROWS // max(1, values.shape[1]))
    for band, (low, high) in enumerate(bounds):
        for top in range(0, len(values), rows):
            part = values[top : top + rows, :, band].astype(np.float64)
            part -= low
            part *= 255 / (high - low)
            part = np.nan_to_num(part, nan=0.0, posinf=255.0, neginf=0.0)
            levels[top : top + rows, :, band] = np.clip(part + 0.5, 0, 255)
    return levels
