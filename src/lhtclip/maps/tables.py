"""Areas per class as a table: pixels, share, and square metres if the raster has coordinates."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lhtclip.files import write_atomically
from lhtclip.maps.job import Job
from lhtclip.maps.parts import Parts
from lhtclip.text.vocabulary import Vocabulary


def write_areas(out: Path, job: Job, parts: Parts, vocabulary: Vocabulary) -> Path:
    """Write `<map>.areas.csv`: a row per class, and one for nodata.

    Square metres are measured on the ellipsoid, with the pixel size of each row of the map; they
    are left out where that is unknown.
    """
    count = len(vocabulary.names)
    pixels, metres = np.zeros(count + 1, np.int64), np.zeros(count + 1)
    known = job.source.dataset.crs is not None
    for strip in parts:
        sizes = pixel_areas(job, strip.top, len(strip.labels)) if known else None
        for row, labels in enumerate(np.minimum(strip.labels, count)):
            found = np.bincount(labels, minlength=count + 1)
            pixels += found
            if sizes is not None:
                metres += np.where(found > 0, found * sizes[row], 0)
    file = io.StringIO()
    table = csv.writer(file)
    table.writerow(["class", "name", "pixels", "share", "area_m2"])
    total = int(pixels.sum())
    for index, name in enumerate((*vocabulary.names, "nodata")):
        area = round(float(metres[index]), 2) if known and np.isfinite(metres[index]) else ""
        number = index if index < count else ""
        table.writerow([number, name, int(pixels[index]), pixels[index] / total, area])
    return write_atomically(out.with_name(f"{out.stem}.areas.csv"), file.getvalue().encode())


def pixel_areas(job: Job, top: int, rows: int) -> NDArray[np.float64]:
    """Return the ellipsoidal area of the middle pixel of each row, in square metres.

    It is nan where that pixel does not lie on the Earth, as in corners of geostationary images.
    """
    from pyproj import Geod, Transformer

    to_degrees = Transformer.from_crs(job.source.dataset.crs, "EPSG:4326", always_xy=True)
    geod, transform, middle = Geod(ellps="WGS84"), job.transform, job.width / 2
    areas = [
        abs(geod.polygon_area_perimeter(*_ring(to_degrees, transform, middle, top + row))[0])
        for row in range(rows)
    ]
    return np.array(areas)


def _ring(to_degrees: Any, transform: Any, column: float, row: float) -> tuple[Any, Any]:
    """Return longitudes and latitudes of the outline of the pixel centred at `column`."""
    corners = [
        transform @ (column + x, row + y) for x, y in ((-0.5, 0), (0.5, 0), (0.5, 1), (-0.5, 1))
    ]
    xs, ys = zip(*corners, strict=True)
    longitudes, latitudes = to_degrees.transform(xs, ys)
    return longitudes, latitudes
