"""Write regions of the map as polygons without gaps, with class, score and area."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lhtclip.errors import InputError
from lhtclip.extras import import_extra
from lhtclip.files import put
from lhtclip.files.regular_files import refuse_special
from lhtclip.files.temporaries import temporary_beside
from lhtclip.maps.gdal_errors import gdal_writes
from lhtclip.maps.job import Job
from lhtclip.maps.parts import Parts
from lhtclip.maps.regions import Region, trace
from lhtclip.maps.settings import VECTOR_DRIVERS, MapSettings
from lhtclip.text.vocabulary import Vocabulary

_BATCH = 10_000  # regions that are written together
_LAYER = "labels"


def write_regions(
    path: Path, job: Job, parts: Parts, vocabulary: Vocabulary, settings: MapSettings
) -> Path:
    """Write the regions of a finished map, 4-connected, a batch at a time.

    Only the simplification needs all regions at once, because it moves shared edges together.

    Args:
        path: .gpkg, .geojson (always in longitude and latitude), .fgb or .parquet.
        job: The map.
        parts: Its strips, with scores.
        vocabulary: Names of the classes.
        settings: Least area and simplification.

    Raises:
        MissingDependencyError: geopandas or shapely is not installed.
        OutputError: The file cannot be written.
    """
    regions = trace(parts, min_area=settings.min_area)
    batches = iter(lambda: list(islice(regions, _BATCH)), [])
    if settings.simplify > 0:
        batches = iter([_simplified(list(regions), settings.simplify)])
    first = next(batches, [])  # a map without regions becomes a file without features
    frames = (_frame(batch, job, vocabulary) for batch in chain([first], batches))
    suffix = path.suffix.lower()
    with gdal_writes(path), temporary_beside(path, suffix=suffix) as new:
        if suffix == ".parquet":
            _write_parquet(frames, new)
        elif suffix == ".gpkg":
            _write_geopackage(frames, new)
        else:
            with temporary_beside(path, suffix=".gpkg") as all_:
                _convert(_write_geopackage(frames, all_), new, VECTOR_DRIVERS[suffix])
        put(new, path)
    return path


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


def _simplified(regions: list[Region], tolerance: float) -> list[Region]:
    """Simplify all edges at once, so that neighbours still share them."""
    shapely = import_extra("shapely", purpose="Vector files")
    if not regions:
        return regions
    outlines = np.array([each.outline for each in regions], dtype=object)
    noded = shapely.transform(shapely.segmentize(outlines, 1.0), np.round)
    simple = shapely.coverage_simplify(noded, tolerance)
    return [replace(each, outline=outline) for each, outline in zip(regions, simple, strict=True)]


def _frame(regions: Sequence[Region], job: Job, vocabulary: Vocabulary) -> Any:
    """Put regions into a table, in the map's coordinates."""
    geopandas = import_extra("geopandas", purpose="Vector files")
    shapely = import_extra("shapely", purpose="Vector files")
    crs = job.source.dataset.crs
    outlines = np.array([each.outline for each in regions], dtype=object)
    frame = geopandas.GeoDataFrame(
        {
            "class_id": np.array([each.value for each in regions], np.int64),
            "class": [vocabulary.names[each.value] for each in regions],
            "score": np.array([each.score for each in regions], np.float64),
            "pixels": shapely.area(outlines),
        },
        geometry=_placed(outlines, job.transform),
        crs=crs.to_wkt() if crs else None,
    )
    frame["area_m2"] = _square_metres(frame)
    return frame


def _placed(outlines: NDArray[Any], transform: Any) -> NDArray[Any]:
    import shapely

    def move(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack(transform @ (points[:, 0], points[:, 1]), axis=1)

    return shapely.transform(outlines, move)


def _square_metres(frame: Any) -> NDArray[np.float64]:
    """Return ellipsoidal areas; NaN without coordinates."""
    if frame.crs is None:
        return np.full(len(frame), np.nan)
    from pyproj import Geod

    geod = Geod(ellps="WGS84")
    return np.array(
        [abs(geod.geometry_area_perimeter(each)[0]) for each in frame.geometry.to_crs(4326)]
    )


def _write_geopackage(frames: Iterable[Any], path: Path) -> Path:
    for number, frame in enumerate(frames):
        mode = "a" if number else "w"
        frame.to_file(path, driver="GPKG", layer=_LAYER, geometry_type="Polygon", mode=mode)
    return path


def _convert(source: Path, target: Path, driver: str) -> None:
    """Copy a GeoPackage into a file of a format that is written in one go."""
    pyogrio = import_extra("pyogrio", purpose="Vector files")
    with pyogrio.open_arrow(source, layer=_LAYER) as (about, features):
        crs = about["crs"]
        options = {"RFC7946": "YES"} if driver == "GeoJSON" and crs else {}
        pyogrio.write_arrow(
            features,
            target,
            layer=_LAYER,
            driver=driver,
            geometry_name=about["geometry_name"] or "wkb_geometry",
            geometry_type="Polygon",
            crs=crs,
            **options,
        )


def _write_parquet(frames: Iterable[Any], path: Path) -> None:
    """Write a GeoParquet file of one row group a frame."""
    parquet = import_extra("pyarrow.parquet", purpose="Parquet files")
    with ExitStack() as stack:
        writer: Any = None
        for frame in frames:
            file = io.BytesIO()
            frame.to_parquet(file, index=False, schema_version="1.1.0", write_covering_bbox=True)
            table = parquet.read_table(file)
            if writer is None:
                schema = _without_bounds(table.schema)
                writer = stack.enter_context(parquet.ParquetWriter(path, schema))
            writer.write_table(table.cast(writer.schema))


def _without_bounds(schema: Any) -> Any:
    """Drop the bounds of the first rows, which are optional, from a GeoParquet schema."""
    about = json.loads(schema.metadata[b"geo"])
    for column in about["columns"].values():
        column.pop("bbox", None)
    return schema.with_metadata({b"geo": json.dumps(about).encode()})
