"""Write regions of the map as polygons without gaps, with class, score and area."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lhtclip.errors import InputError
from lhtclip.extras import import_extra
from lhtclip.files.regular_files import refuse_special
from lhtclip.files.temporaries import temporary_beside
from lhtclip.maps.job import STEPS
from lhtclip.maps.parts import Parts
from lhtclip.maps.settings import VECTOR_DRIVERS, MapSettings
from lhtclip.text.vocabulary import Vocabulary

_LAYER = "labels"


def write_regions(
    path: Path, labels: Path, parts: Parts, vocabulary: Vocabulary, settings: MapSettings
) -> Path:
    """Write the regions of a finished map, 4-connected.

    Args:
        path: .gpkg, .geojson (always in longitude and latitude), .fgb or .parquet.
        labels: The map.
        parts: Its strips, for the scores.
        vocabulary: Names of the classes.
        settings: Least area and simplification.

    Raises:
        MissingDependencyError: geopandas or shapely is not installed.
    """
    geopandas = import_extra("geopandas", purpose="Vector files")
    shapely = import_extra("shapely", purpose="Vector files")
    rasterio = import_extra("rasterio", purpose="Maps")
    with rasterio.open(labels) as dataset:
        shapes, values = _polygons(dataset)
        crs, transform = dataset.crs, dataset.transform
        size = dataset.height, dataset.width
    keep = shapely.area(shapes) >= settings.min_area
    shapes, values = shapes[keep], values[keep]
    scores = _mean_scores(shapes, parts, size)
    if settings.simplify > 0 and len(shapes):
        shapes = _simplified(shapes, settings.simplify)
    pixels = shapely.area(shapes)
    matrix = [transform.a, transform.b, transform.d, transform.e, transform.c, transform.f]
    placed = _affine(shapes, matrix)
    frame = geopandas.GeoDataFrame(
        {
            "class_id": values.astype(np.int64),
            "class": [vocabulary.names[value] for value in values],
            "score": scores,
            "pixels": pixels,
        },
        geometry=placed,
        crs=crs.to_wkt() if crs else None,
    )
    frame["area_m2"] = _square_metres(frame)
    return _write(frame, path)


def read_polygons(path: Path, crs: Any) -> list[Any]:
    """Read the polygons of a vector file in a raster's coordinates.

    Raises:
        InputError: It cannot be read or holds no polygon.
    """
    geopandas = import_extra("geopandas", purpose="Areas of interest")
    refuse_special(path)
    try:
        frame = geopandas.read_file(path)
    except Exception as error:  # drivers raise errors of any type
        raise InputError(f"Cannot read the area of interest {path}: {error}.") from error
    if crs is not None and frame.crs is not None:
        frame = frame.to_crs(crs.to_wkt())
    found = [each for each in frame.geometry if each is not None and each.area > 0]
    if not found:
        raise InputError(f"{path} holds no polygon.")
    return found


def _polygons(dataset: Any) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Trace the regions in pixel coordinates, (column, row)."""
    rasterio = import_extra("rasterio", purpose="Maps")
    features = import_extra("rasterio.features", purpose="Maps")
    shapely = import_extra("shapely", purpose="Vector files")

    found = features.shapes(
        rasterio.band(dataset, 1),
        mask=dataset.dataset_mask() > 0,
        connectivity=4,
    )
    pairs = [(shapely.geometry.shape(each), int(value)) for each, value in found]
    inverse = ~dataset.transform
    geometries = np.array([each for each, _ in pairs], dtype=object)
    matrix = [inverse.a, inverse.b, inverse.d, inverse.e, inverse.c, inverse.f]
    moved = _affine(geometries, matrix) if len(pairs) else geometries
    whole = shapely.transform(moved, np.round) if len(pairs) else moved
    return whole, np.array([value for _, value in pairs], dtype=np.int64)


def _affine(shapes: NDArray[Any], matrix: list[float]) -> NDArray[Any]:
    import shapely

    a, b, d, e, c, f = matrix

    def move(points: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = points[:, 0], points[:, 1]
        return np.stack([a * x + b * y + c, d * x + e * y + f], axis=1)

    return shapely.transform(shapes, move)


def _simplified(shapes: NDArray[Any], tolerance: float) -> NDArray[Any]:
    """Simplify all edges at once, so that neighbours still share them."""
    import shapely

    noded = shapely.transform(shapely.segmentize(shapes, 1.0), np.round)
    return shapely.coverage_simplify(noded, tolerance)


def _mean_scores(
    shapes: NDArray[Any], parts: Parts, size: tuple[int, int]
) -> NDArray[np.float64] | None:
    """Average the scores of each region's pixels; None if there are no scores."""
    shapely = import_extra("shapely", purpose="Vector files")
    features = import_extra("rasterio.features", purpose="Maps")
    transforms = import_extra("rasterio.transform", purpose="Maps")

    sums, counts = np.zeros(len(shapes) + 1), np.zeros(len(shapes) + 1)
    tree = shapely.STRtree(shapes)
    for strip in parts:
        if strip.scores is None:
            return None
        rows = len(strip.scores)
        near = tree.query(shapely.box(0, strip.top, size[1], strip.top + rows))
        if not len(near):
            continue
        transform = transforms.from_origin(0, strip.top, 1, -1)
        numbers = features.rasterize(
            [(shapes[i], int(i) + 1) for i in near], (rows, size[1]), 0, transform=transform
        )
        flat = numbers.ravel()
        sums += np.bincount(flat, strip.scores.ravel(), minlength=len(sums))
        counts += np.bincount(flat, minlength=len(counts))
    return sums[1:] / np.maximum(counts[1:], 1) / STEPS


def _square_metres(frame: Any) -> NDArray[np.float64] | None:
    """Return ellipsoidal areas; None without coordinates."""
    if frame.crs is None:
        return None
    from pyproj import Geod

    geod = Geod(ellps="WGS84")
    return np.array(
        [abs(geod.geometry_area_perimeter(each)[0]) for each in frame.geometry.to_crs(4326)]
    )


def _write(frame: Any, path: Path) -> Path:
    """Write to a temporary name, then rename."""
    suffix = path.suffix.lower()
    with temporary_beside(path, suffix=suffix) as new:
        if suffix == ".parquet":
            frame.to_parquet(new, schema_version="1.1.0", write_covering_bbox=True)
        elif suffix == ".geojson":
            frame = frame.to_crs(4326) if frame.crs is not None else frame
            frame.to_file(new, driver="GeoJSON", RFC7946=frame.crs is not None)
        else:
            frame.to_file(new, driver=VECTOR_DRIVERS[suffix], layer=_LAYER)
        os.replace(new, path)
    return path
