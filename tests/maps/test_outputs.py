"""The files of a map, read by the programs that people open them with."""

from __future__ import annotations

import csv
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from rasterio.features import rasterize

from lhtclip import Segmenter
from lhtclip.errors import OutputError
from lhtclip.maps import MapSettings, label_raster, vectors
from tests.maps.conftest import SIZE, WORDS, WriteRaster


@pytest.fixture
def made(segmenter: Segmenter, write_raster: WriteRaster, tmp_path: Path) -> Path:
    out = tmp_path / "map.tif"
    settings = MapSettings(scores=True)
    label_raster(
        segmenter, write_raster(), WORDS, out, settings=settings, vector=tmp_path / "map.gpkg"
    )
    return out


def test_the_map_is_a_valid_cog_with_colours_names_and_overviews(made: Path) -> None:
    cog_validate = pytest.importorskip("rio_cogeo").cog_validate
    assert cog_validate(made)[0]
    with rasterio.open(made) as dataset:
        assert dataset.colormap(1)[0] == (0x1F, 0x77, 0xD0, 255)
        assert dataset.descriptions == ("class",)
    names = [e.text for e in ElementTree.parse(f"{made}.aux.xml").iter("Category")]
    assert names == ["cat", "dog", "tree", "water", "brick", "grass"]
    entries = ElementTree.parse(made.with_suffix(".qml")).iter("paletteEntry")
    assert [each.get("label") for each in entries] == names


def test_polygons_drawn_again_are_the_labels(made: Path) -> None:
    frame = geopandas.read_file(made.with_suffix(".gpkg"), layer="labels")
    with rasterio.open(made) as dataset:
        shapes = zip(frame.geometry, frame.class_id, strict=True)
        drawn = rasterize(shapes, dataset.shape, 255, transform=dataset.transform)
        np.testing.assert_array_equal(drawn, dataset.read(1))
        assert frame.crs == dataset.crs
    assert frame.geometry.is_valid.all()
    assert frame.pixels.sum() == SIZE[0] * SIZE[1]
    assert frame.score.between(0, 1).all()


def test_areas_agree_with_the_ellipsoid(made: Path) -> None:
    frame = geopandas.read_file(made.with_suffix(".gpkg"))
    from pyproj import Geod

    outline = frame.geometry.to_crs(4326).union_all()
    whole = abs(Geod(ellps="WGS84").geometry_area_perimeter(outline)[0])
    assert frame.area_m2.sum() == pytest.approx(whole, rel=1e-3)
    with made.with_name("map.areas.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sum(float(row["area_m2"]) for row in rows) == pytest.approx(whole, rel=1e-3)
    assert sum(float(row["share"]) for row in rows) == pytest.approx(1)
    assert rows[-1]["name"] == "nodata"


@pytest.mark.parametrize("suffix", [".geojson", ".fgb", ".parquet"])
def test_every_vector_format_holds_the_same_regions(
    made: Path, segmenter: Segmenter, write_raster: WriteRaster, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"other{suffix}"
    label_raster(segmenter, write_raster(), WORDS, tmp_path / "other.tif", vector=path)
    read = geopandas.read_parquet if suffix == ".parquet" else geopandas.read_file
    frame, first = read(path), geopandas.read_file(made.with_suffix(".gpkg"))
    for column in ("pixels", "score", "area_m2"):
        np.testing.assert_allclose(sorted(frame[column]), sorted(first[column]))
    assert frame.crs.to_epsg() == (4326 if suffix == ".geojson" else 32632)


@pytest.mark.parametrize("suffix", [".gpkg", ".tif"])
def test_a_disk_that_fills_up_is_one_error_and_the_next_run_goes_on(
    suffix: str,
    segmenter: Segmenter,
    write_raster: WriteRaster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from pyogrio.errors import FeatureError
    from rasterio import shutil as copying
    from rasterio.errors import RasterioIOError

    def full(*_: object, **__: object) -> None:
        raise FeatureError("disk is full") if suffix == ".gpkg" else RasterioIOError("disk is full")

    raster, out = write_raster(), tmp_path / "map.tif"
    with monkeypatch.context() as patch:
        patch.setattr(vectors, "_write_geopackage", full)
        if suffix == ".tif":
            patch.setattr(copying, "copy", full)
        with pytest.raises(OutputError, match=rf"{suffix}: disk is full.*more space"):
            label_raster(segmenter, raster, WORDS, out, vector=tmp_path / "map.gpkg")
    windows: list[int] = []
    label_raster(
        segmenter,
        raster,
        WORDS,
        out,
        vector=tmp_path / "map.gpkg",
        on_progress=lambda done, _: windows.append(done),
    )
    assert len(set(windows)) == 1, "strips were labelled again"
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_simplified_regions_leave_no_gaps(
    segmenter: Segmenter, write_raster: WriteRaster, tmp_path: Path
) -> None:
    path, settings = tmp_path / "map.fgb", MapSettings(simplify=1.0)
    label_raster(
        segmenter, write_raster(), WORDS, tmp_path / "map.tif", settings=settings, vector=path
    )
    frame = geopandas.read_file(path)
    assert shapely.coverage_is_valid(frame.geometry.array)
    metres = SIZE[0] * SIZE[1] * 0.25
    assert frame.geometry.union_all().area == pytest.approx(metres, rel=1e-9)
    assert shapely.get_num_coordinates(frame.geometry.array).sum() > 0


def test_what_lies_outside_of_the_area_of_interest_is_nodata(
    segmenter: Segmenter, write_raster: WriteRaster, tmp_path: Path
) -> None:
    area = shapely.box(500_020, 5_199_900, 500_100, 5_199_990)
    frame = geopandas.GeoDataFrame(geometry=[area], crs=32632).to_crs(4326)
    frame.to_file(tmp_path / "area.geojson")
    out = tmp_path / "map.tif"
    label_raster(segmenter, write_raster(), WORDS, out, aoi=tmp_path / "area.geojson")
    with rasterio.open(out) as dataset:
        inside = dataset.read(1) != 255
    assert inside.sum() == pytest.approx(160 * 180, rel=0.02)
    assert inside[100, 100]
    assert not inside[300, 300]


def test_pixels_off_the_earth_have_no_area(
    segmenter: Segmenter, write_raster: WriteRaster, tmp_path: Path
) -> None:
    full_disk = rasterio.crs.CRS.from_string("+proj=geos +h=35785831 +lon_0=0 +ellps=GRS80")
    transform = rasterio.transform.from_origin(-5.4e6, 5.4e6, 25_000, 25_000)
    label_raster(
        segmenter,
        write_raster(crs=full_disk, transform=transform),
        WORDS,
        tmp_path / "map.tif",
        vector=tmp_path / "map.gpkg",
    )
    with (tmp_path / "map.areas.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert "" in [row["area_m2"] for row in rows]
    assert sum(int(row["pixels"]) for row in rows) == SIZE[0] * SIZE[1]
