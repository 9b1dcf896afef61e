"""Where the pixels of an uploaded GeoTIFF lie on the earth."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lhtclip.extras import import_extra

_GEO_KEYS = 34735  # TIFF tag of a GeoTIFF's coordinate reference system
_PURPOSE = "Answers in coordinates"
Ring = list[list[float]]


@dataclass(frozen=True, slots=True)
class Georeference:
    """A coordinate reference system, and the affine map of pixels into it; both are rasterio's."""

    crs: Any
    transform: Any

    def place(self, rings: Sequence[Sequence[Sequence[float]]]) -> list[Ring]:
        """Map rings of (x, y) pixel edges to the reference system of the image."""
        return [[[*(self.transform * (x, y))] for x, y in ring] for ring in rings]

    def degrees(self, rings: Sequence[Sequence[Sequence[float]]]) -> list[Ring]:
        """Map rings of (x, y) pixel edges to longitude and latitude, WGS 84, as GeoJSON wants."""
        warp = import_extra("rasterio.warp", purpose=_PURPOSE)
        placed: list[Ring] = []
        for ring in self.place(rings):
            across, up = zip(*ring, strict=True)
            longitudes, latitudes = warp.transform(self.crs, "EPSG:4326", across, up)
            placed.append([list(each) for each in zip(longitudes, latitudes, strict=True)])
        return placed

    def geotiff(self, labels: NDArray[Any]) -> bytes:
        """Write labels as a GeoTIFF in the same place."""
        return _geotiff(labels, crs=self.crs, transform=self.transform)


def georeference_of(data: bytes) -> Georeference | None:
    """Read where an image lies; None if it is no GeoTIFF.

    Raises:
        MissingDependencyError: It is one, and rasterio is not installed.
    """
    with Image.open(io.BytesIO(data)) as picture:
        tags: Any = getattr(picture, "tag_v2", {})
        if _GEO_KEYS not in tags:
            return None
    rasterio_io = import_extra("rasterio.io", purpose=_PURPOSE)
    with rasterio_io.MemoryFile(data) as file, file.open() as source:
        return Georeference(source.crs, source.transform) if source.crs else None


def plain_geotiff(labels: NDArray[Any]) -> bytes:
    """Write labels of an image that lies nowhere as a TIFF."""
    file = io.BytesIO()
    Image.fromarray(labels).save(file, format="TIFF", compression="tiff_adobe_deflate")
    return file.getvalue()


def _geotiff(labels: NDArray[np.generic], **place: Any) -> bytes:
    rasterio_io = import_extra("rasterio.io", purpose=_PURPOSE)
    height, width = labels.shape
    with rasterio_io.MemoryFile() as file:
        with file.open(
            driver="GTiff",
            height=height,
            width=width,
            count=1,
            dtype=labels.dtype.name,
            compress="deflate",
            **place,
        ) as target:
            target.write(labels, 1)
        return file.read()
