"""Settings for reading a raster, its scale, and the files to write, in one frozen record."""

from __future__ import annotations

from dataclasses import dataclass

from lhtclip.errors import InputError, is_number
from lhtclip.files.fields import check_fields

VECTOR_DRIVERS = {
    ".gpkg": "GPKG",
    ".geojson": "GeoJSON",
    ".fgb": "FlatGeobuf",
    ".parquet": "Parquet",
}


@dataclass(frozen=True, slots=True)
class MapSettings:
    """Settings of `label_raster`.

    Attributes:
        bands: 1-based bands for red, green and blue; None for the first three, or for the only
            one.
        stretch: Values that become black and white, in the raster's own units; None for the full
            range of 8-bit types, and for `percentiles` of the whole raster otherwise.
        percentiles: Lower and upper percentile, 0 to 100.
        scale: Pixels in a window per pixel of the raster. 1 keeps the raster's own pixels; 0.5
            shows twice the ground in every window.
        gsd: Metres on the ground per pixel in a window; sets `scale` from the raster's own
            resolution.
        grid: "source" writes one label per pixel of the raster, "windows" one per pixel of the
            windows.
        bbox: West, south, east, north in the raster's CRS (columns and rows without a CRS); only
            this part is labelled, with the same labels as in the whole.
        alpha: "mask" hides pixels that an alpha band marks as transparent, "ignore" does not.
        scores: Also write the winner's probability of every pixel.
        probabilities: Also write the probability of every class.
        min_area: Regions of fewer pixels are left out of vector files.
        simplify: Tolerance of the simplification of vector files, in pixels; 0 keeps pixel edges.
        cache_mb: Memory that GDAL may use for its own cache.

    Raises:
        InputError: A setting is out of range, or two contradict each other.
    """

    bands: tuple[int, ...] | None = None
    stretch: tuple[float, float] | None = None
    percentiles: tuple[float, float] = (2.0, 98.0)
    scale: float = 1.0
    gsd: float | None = None
    grid: str = "source"
    bbox: tuple[float, float, float, float] | None = None
    alpha: str = "mask"
    scores: bool = False
    probabilities: bool = False
    min_area: int = 0
    simplify: float = 0.0
    cache_mb: int = 64

    def __post_init__(self) -> None:
        """Validate the settings."""
        check_fields(self)
        if self.bands is not None and (
            len(self.bands) not in (1, 3) or any(band < 1 for band in self.bands)
        ):
            raise InputError(f"Give 1 or 3 bands, counted from 1, such as 3,2,1; got {self.bands}.")
        if self.stretch is not None and not self.stretch[0] < self.stretch[1]:
            raise InputError(f"The range must rise, such as 0,3000; got {self.stretch}.")
        low, high = self.percentiles
        if not 0 <= low < high <= 100:
            raise InputError(f"Percentiles must rise from 0 to 100; got {self.percentiles}.")
        for name in ("scale", "gsd"):
            value = getattr(self, name)
            if value is not None and not (is_number(value) and value > 0):
                raise InputError(f"{name} must be above 0, got {value!r}.")
        if self.gsd is not None and self.scale != 1.0:
            raise InputError("Give either a scale or a gsd, not both.")
        if self.grid not in ("source", "windows"):
            raise InputError(f"The grid is 'source' or 'windows', got {self.grid!r}.")
        if self.alpha not in ("mask", "ignore"):
            raise InputError(f"alpha is 'mask' or 'ignore', got {self.alpha!r}.")
        if self.bbox is not None and not (
            self.bbox[0] < self.bbox[2] and self.bbox[1] < self.bbox[3]
        ):
            raise InputError(
                f"The box is west, south, east, north and must not be empty; got {self.bbox}."
            )
        if self.min_area < 0 or self.simplify < 0 or self.cache_mb < 0:
            raise InputError("min_area, simplify and cache_mb must be 0 or more.")
