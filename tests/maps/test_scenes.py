"""Files, folders, STAC items and data arrays as scenes."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from lhtclip import Segmenter
from lhtclip.errors import InputError
from lhtclip.maps import label_array, label_raster
from lhtclip.maps.scenes import Scene, find_scenes
from tests.maps.conftest import WORDS, WriteRaster


def test_folders_are_searched_and_files_taken_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "in/deep").mkdir(parents=True)
    for name in ("b.TIF", "deep/a.vrt", "notes.txt"):
        (tmp_path / "in" / name).touch()
    found = find_scenes([str(tmp_path / "in"), "other.img"])
    assert [each.name for each in found] == ["b", "a", "other"]
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match=r"none holds no \.tif"):
        find_scenes([str(tmp_path / "none")])


def test_folders_say_what_they_leave_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "maps").mkdir()
    for name in ("a.tif", ".hidden.tif", "b.ecw", "maps/a.tif"):
        (tmp_path / name).touch()
    found = find_scenes([str(tmp_path)], out=tmp_path / "maps")
    assert [each.path for each in found] == [str(tmp_path / "a.tif")]
    assert "1 .ecw (pass its path), 1 hidden file" in caplog.text


def test_a_map_does_not_replace_its_raster(write_raster: WriteRaster, segmenter: Any) -> None:
    raster = write_raster("a.tif")
    before = raster.read_bytes()
    with pytest.raises(InputError, match=r"would replace the raster .*--out"):
        label_raster(segmenter, raster, WORDS, raster, overwrite=True)
    assert raster.read_bytes() == before


def test_stac_items_give_their_assets_under_the_id(tmp_path: Path) -> None:
    pystac = pytest.importorskip("pystac")
    moment = datetime(2026, 1, 1, tzinfo=timezone.utc)
    item = pystac.Item("S2-one", None, None, moment, {})
    kind = pystac.MediaType.COG
    item.add_asset("visual", pystac.Asset("./TCI.tif", media_type=kind))
    item.add_asset("nir", pystac.Asset("./B08.tif", media_type=kind))
    item.set_self_href(str(tmp_path / "item.json"))
    item.save_object()
    path = str(tmp_path / "item.json")
    assert find_scenes([path]) == [Scene(str(tmp_path / "TCI.tif"), "S2-one")]
    assert find_scenes([path], asset="nir")[0].path.endswith("B08.tif")
    with pytest.raises(InputError, match=r"no asset 'red'.*--asset: visual, nir"):
        find_scenes([path], asset="red")
    (tmp_path / "broken.json").write_text("{}")
    with pytest.raises(InputError, match=r"broken\.json as a STAC item"):
        find_scenes([str(tmp_path / "broken.json")])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no FIFOs")
def test_a_stac_item_that_is_a_fifo_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "item.json")
    with pytest.raises(InputError, match="FIFO"):
        find_scenes([str(tmp_path / "item.json")])


def test_a_data_array_keeps_its_coordinates(
    segmenter: Segmenter, write_raster: WriteRaster, tmp_path: Path
) -> None:
    rioxarray = pytest.importorskip("rioxarray")
    path = write_raster()
    with rioxarray.open_rasterio(path) as opened:
        array = opened.load()
    labels = label_array(segmenter, array, WORDS)
    label_raster(segmenter, path, WORDS, tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif") as made:
        np.testing.assert_array_equal(labels.values, made.read(1))
    assert labels.dims == ("y", "x")
    assert labels.rio.crs.to_epsg() == 32632
    assert labels.x.equals(array.x)
    assert labels.y.equals(array.y)
    assert labels.attrs["flag_meanings"] == "cat dog tree water brick grass"
    with pytest.raises(InputError, match=r"\(band, y, x\) .*got \('y', 'x', 'band'\)"):
        label_array(segmenter, array.transpose("y", "x", "band"), WORDS)
