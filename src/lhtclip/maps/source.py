"""A raster as the windows see it: three 8-bit bands and a mask, with rows on demand.

One stretch covers the whole raster, so the same ground has the same levels in every strip. Rows are
resampled at their positions in the whole raster, so the pixels do not depend on how it is cut into
strips.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lhtclip.clip.config import CLIP_MEAN
from lhtclip.errors import InputError
from lhtclip.extras import import_extra
from lhtclip.files.regular_files import refuse_special
from lhtclip.maps.settings import MapSettings

_SAMPLE_SIDE = 1024  # pixels of the reduced raster that percentiles are taken from
_METRES_A_DEGREE = 111_320.0
Rows = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Frame:
    """The part of the raster to label, in its own pixels."""

    top: int
    left: int
    height: int
    width: int


class Source:
    """An open raster."""

    def __init__(self, path: str | Path, settings: MapSettings) -> None:
        """Open a raster and choose bands, stretch and scale.

        Args:
            path: Any raster that GDAL can read through rasterio.
            settings: Bands, stretch, scale and box.

        Raises:
            InputError: It cannot be opened or has no pixels on a map's grid, or a setting does not
                suit it.
            MissingDependencyError: rasterio is not installed.
        """
        rasterio = import_extra("rasterio", purpose="Maps")
        self.path, self.settings = Path(path), settings
        refuse_special(path)
        try:
            self.dataset: Any = rasterio.open(path)
        except rasterio.errors.RasterioError as error:
            raise InputError(f"Cannot open the raster {path}: {str(error).rstrip('.')}.") from error
        self._lock = Lock()  # GDAL's data sets serve one thread at a time
        self._check_grid()
        self.bands = self._bands()
        self.dtype = np.dtype(self.dataset.dtypes[self.bands[0] - 1])
        self.low, self.high = self._stretch()
        self.scale = self._scale()
        self.height = max(1, round(self.dataset.height * self.scale))
        self.width = max(1, round(self.dataset.width * self.scale))
        self.frame = self._frame()

    def close(self) -> None:
        """Close the file."""
        self.dataset.close()

    def levels(self, top: int, bottom: int, left: int, right: int) -> NDArray[np.uint8]:
        """Read a part of the scaled raster as RGB levels (rows, columns, 3).

        Masked pixels get CLIP's mean colour, which is neutral.
        """
        rows = Resampling(self.dataset.height, self.height, top, bottom)
        columns = Resampling(self.dataset.width, self.width, left, right)
        values, seen = self._read(rows.start, rows.stop, columns.start, columns.stop)
        values[:, ~seen] = 255 * np.array(CLIP_MEAN)[:, None]
        return _rounded(columns.apply(rows.apply(values, axis=1), axis=2).transpose(1, 2, 0))

    def visible(self, top: int, bottom: int, left: int, right: int) -> NDArray[np.bool_]:
        """Return which pixels of the raster are not masked, (rows, columns)."""
        window = _window(top, bottom, left, right)
        return self._mask(window)

    def seen(self, top: int, bottom: int, spans: Sequence[tuple[int, int]]) -> list[bool]:
        """Return whether spans of columns of the scaled raster have any unmasked pixel."""
        rows = Resampling(self.dataset.height, self.height, top, bottom)
        columns = [Resampling(self.dataset.width, self.width, *span) for span in spans]
        left, right = min(each.start for each in columns), max(each.stop for each in columns)
        mask = self.visible(rows.start, rows.stop, left, right)
        return [bool(mask[:, each.start - left : each.stop - left].any()) for each in columns]

    def fingerprint(self) -> dict[str, Any]:
        """Return the properties that saved parts must agree on, in JSON types."""
        stat = self.path.stat() if self.path.exists() else None
        return {
            "source": str(self.path.name),
            "bytes": stat.st_size if stat else None,
            "modified": stat.st_mtime_ns if stat else None,
            "size": [self.dataset.height, self.dataset.width],
            "bands": list(self.bands),
            "stretch": [self.low, self.high],
            "scale": self.scale,
            "frame": [self.frame.top, self.frame.left, self.frame.height, self.frame.width],
        }

    def _read(
        self, top: int, bottom: int, left: int, right: int
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        window = _window(top, bottom, left, right)
        raw = self._values(window)
        seen = self._mask(window)
        if raw.dtype.kind in "fc":
            seen &= np.isfinite(raw).all(axis=0)
            raw = np.nan_to_num(raw)
        levels = raw.astype(np.float32)
        if self.dtype != np.uint8 or (self.low, self.high) != (0, 255):
            stretched = (levels - self.low) * np.float32(255 / (self.high - self.low))
            levels = np.rint(np.clip(stretched, 0, 255))
        if len(levels) == 1:
            levels = np.repeat(levels, 3, axis=0)
        return levels, seen

    def _values(self, window: Any) -> NDArray[Any]:
        with self._reading():
            return self.dataset.read(list(self.bands), window=window)

    @contextmanager
    def _reading(self) -> Generator[None, None, None]:
        """Keep other threads out, and explain what cannot be read.

        In a thread without an environment of its own, GDAL would write its messages to stderr.
        """
        rasterio = import_extra("rasterio", purpose="Maps")
        with self._lock, rasterio.Env():
            try:
                yield
            except rasterio.errors.RasterioError as error:
                reason = f"{error.__cause__ or error}".rstrip(".")
                raise InputError(f"Cannot read the raster {self.path}: {reason}.") from error

    def _mask(self, window: Any) -> NDArray[np.bool_]:
        if self.settings.alpha == "ignore":
            masks = [self.dataset.nodatavals[band - 1] for band in self.bands]
            if all(value is None for value in masks):
                return np.ones((int(window.height), int(window.width)), dtype=bool)
            raw = self._values(window)
            hidden = [
                np.isnan(band) if value is not None and math.isnan(value) else band == value
                for band, value in zip(raw, masks, strict=True)
            ]
            return ~np.logical_and.reduce(hidden)
        with self._reading():
            return self.dataset.dataset_mask(window=window) > 0

    def _check_grid(self) -> None:
        data = self.dataset
        if data.count == 0:
            raise InputError(f"{self.path} holds no bands; name one of its subdatasets.")
        if data.gcps[0] and data.transform.is_identity:
            raise InputError(
                f"{self.path} has ground control points instead of a grid. Warp it first: "
                "gdalwarp -t_srs EPSG:4326 IN.tif OUT.tif."
            )

    def _bands(self) -> tuple[int, ...]:
        count = self.dataset.count
        bands = self.settings.bands or ((1, 2, 3) if count >= 3 else (1,))
        if max(bands) > count:
            raise InputError(
                f"{self.path} has {count} bands, but --bands asks for {','.join(map(str, bands))}."
            )
        types = {self.dataset.dtypes[band - 1] for band in bands}
        if len(types) > 1 or any(each.startswith("complex") for each in types):
            raise InputError(
                f"The bands {bands} of {self.path} hold {', '.join(sorted(types))}; they must "
                "be of one real type. Choose others with --bands."
            )
        return tuple(bands)

    def _stretch(self) -> tuple[float, float]:
        if self.settings.stretch is not None:
            return self.settings.stretch
        if self.dtype == np.uint8:
            return 0.0, 255.0
        data = self.dataset
        shrink = max(1.0, max(data.height, data.width) / _SAMPLE_SIDE)
        shape = (max(1, int(data.height / shrink)), max(1, int(data.width / shrink)))
        with self._reading():
            sample = data.read(list(self.bands), out_shape=(len(self.bands), *shape), masked=True)
        values = np.ma.masked_invalid(sample).compressed()
        if not len(values):
            raise InputError(f"{self.path} has no valid pixels. Give --range LOW,HIGH.")
        low, high = (float(x) for x in np.percentile(values, self.settings.percentiles))
        if not low < high:
            high = low + 1.0
        return low, high

    def _scale(self) -> float:
        if self.settings.gsd is None:
            return self.settings.scale
        size = self.metres_a_pixel()
        if size is None:
            raise InputError(
                f"{self.path} has no coordinates, so its pixels have no size on the ground. "
                "Give --scale instead of --gsd."
            )
        return size / self.settings.gsd

    def metres_a_pixel(self) -> float | None:
        """Return the side of a pixel on the ground, metres, or None without coordinates."""
        crs, transform = self.dataset.crs, self.dataset.transform
        if crs is None:
            return None
        side = math.sqrt(abs(transform.determinant))
        if crs.is_geographic:
            latitude = transform.f + transform.e * self.dataset.height / 2
            return side * _METRES_A_DEGREE * math.sqrt(math.cos(math.radians(latitude)))
        return side * crs.linear_units_factor[1]

    def _frame(self) -> Frame:
        data, box = self.dataset, self.settings.bbox
        if box is None:
            return Frame(0, 0, data.height, data.width)
        west, south, east, north = box
        corners = [~data.transform @ (x, y) for x in (west, east) for y in (south, north)]
        columns, rows = zip(*corners, strict=True)
        left, right = max(0, math.floor(min(columns))), min(data.width, math.ceil(max(columns)))
        top, bottom = max(0, math.floor(min(rows))), min(data.height, math.ceil(max(rows)))
        if left >= right or top >= bottom:
            raise InputError(
                f"The box {box} lies outside {self.path}, whose bounds are {tuple(data.bounds)}."
            )
        return Frame(top, left, bottom - top, right - left)


class Resampling:
    """Pixels `begin` to `end` of an axis resized from `source` to `target` pixels.

    Enlarging is bilinear. Reducing widens the triangle so that every source pixel counts, as in
    Pillow.
    """

    def __init__(self, source: int, target: int, begin: int, end: int) -> None:
        """Find the required source pixels and their weights."""
        step = source / target
        reach = max(step, 1.0)
        centres = (np.arange(begin, end) + 0.5) * step - 0.5
        self.start = max(0, math.floor(centres[0] - reach) + 1) if source != target else begin
        self.stop = min(source, math.ceil(centres[-1] + reach)) if source != target else end
        self._same = source == target
        if not self._same:
            places = np.arange(self.start, self.stop)
            weights = np.maximum(0, 1 - np.abs(places - centres[:, None]) / reach)
            self._weights = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)

    def apply(self, values: Rows, *, axis: int) -> Rows:
        """Resample source pixels `start` to `stop` along one axis."""
        if self._same:
            return values
        moved = np.moveaxis(values, axis, -1)
        return np.moveaxis(moved @ self._weights.T, -1, axis)


def _window(top: int, bottom: int, left: int, right: int) -> Any:
    windows = import_extra("rasterio.windows", purpose="Maps")
    return windows.Window(left, top, right - left, bottom - top)


def _rounded(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)
