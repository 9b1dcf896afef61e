"""A raster gets the labels that the same picture gets in memory, whatever its form."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine

from lhtclip import Segmenter, WindowSettings
from lhtclip.errors import InputError, OutputError
from lhtclip.maps import MapSettings, label_raster
from lhtclip.maps.parts import Parts, Strip, locked
from lhtclip.maps.scenes import find_scenes
from lhtclip.maps.source import Source
from tests.maps.conftest import SIZE, WORDS, WriteRaster


@pytest.fixture(scope="session")
def expected(segmenter: Segmenter, picture: np.ndarray) -> np.ndarray:
    return segmenter.segment(picture, WORDS).labels


def labels_of(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read(1)


@pytest.mark.parametrize(
    "profile",
    [
        {},
        {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"},
        {"crs": "EPSG:4326", "transform": Affine(1e-5, 0, 11.0, 0, -1e-5, 48.0)},
        {"crs": "EPSG:3857", "transform": Affine(0.4, 0.3, 1e6, 0.3, -0.4, 6e6)},
        {"crs": None, "transform": Affine.identity()},
        {"driver": "COG", "compress": "deflate"},
        {"driver": "JP2OpenJPEG", "QUALITY": 100, "REVERSIBLE": "YES"},
    ],
    ids=["utm", "tiled", "geographic", "rotated", "none", "cog", "jpeg2000"],
)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_labels_are_those_of_the_picture_in_memory(
    segmenter: Segmenter,
    write_raster: WriteRaster,
    tmp_path: Path,
    expected: np.ndarray,
    profile: dict[str, Any],
) -> None:
    path = write_raster(**profile)
    label_raster(segmenter, path, WORDS, tmp_path / "map.tif")
    with rasterio.open(path) as source, rasterio.open(tmp_path / "map.tif") as made:
        np.testing.assert_array_equal(made.read(1), expected)
        assert made.crs == source.crs
        assert made.transform.almost_equals(source.transform)
        assert made.nodata == 255
        assert not list(tmp_path.glob(".*"))


def test_mirrored_windows(
    segmenter: Segmenter, write_raster: WriteRaster, tmp_path: Path, picture: np.ndarray
) -> None:
    both = segmenter.replace(windows=replace(segmenter.windows, flip=True))
    label_raster(both, write_raster(), WORDS, tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif") as made:
        np.testing.assert_array_equal(made.read(1), both.segment(picture, WORDS).labels)
    several = segmenter.replace(windows=WindowSettings((336, 448)))
    with pytest.raises(InputError, match="Several short sides"):
        label_raster(several, write_raster(), WORDS, tmp_path / "other.tif")


def test_sixteen_bits_and_other_band_orders_give_the_same(
    segmenter: Segmenter,
    write_raster: WriteRaster,
    tmp_path: Path,
    picture: np.ndarray,
    expected: np.ndarray,
) -> None:
    bands = np.concatenate([picture.transpose(2, 0, 1)[::-1], picture.transpose(2, 0, 1)[:1]])
    path = write_raster(bands=bands.astype(np.uint16) * 10 + 100)
    settings = MapSettings(bands=(3, 2, 1), stretch=(100, 2650))
    label_raster(segmenter, path, WORDS, tmp_path / "map.tif", settings=settings)
    np.testing.assert_array_equal(labels_of(tmp_path / "map.tif"), expected)


def test_a_stretch_by_percentiles_is_one_for_the_scene(
    segmenter: Segmenter, write_raster: WriteRaster, tmp_path: Path, picture: np.ndarray
) -> None:
    path = write_raster(bands=picture.transpose(2, 0, 1).astype(np.float32) / 255)
    summary = label_raster(segmenter, path, WORDS, tmp_path / "map.tif")
    expected = np.percentile(picture / np.float32(255), (2, 98))
    np.testing.assert_allclose(summary.stretch, expected, atol=0.01)
    with rasterio.open(tmp_path / "map.tif") as made:
        assert made.tags()["LHTCLIP_RANGE"] == "{:g},{:g}".format(*summary.stretch)
    labels = labels_of(tmp_path / "map.tif")
    assert len(np.unique(labels)) > 2


def test_masked_pixels_are_nodata_and_never_a_class(
    segmenter: Segmenter, write_raster: WriteRaster, tmp_path: Path, picture: np.ndarray
) -> None:
    bands = np.maximum(picture.transpose(2, 0, 1), 1)
    bands[:, 100:200, 50:300] = 0
    bands[:, :, 500:] = 0
    label_raster(segmenter, write_raster(bands=bands, nodata=0), WORDS, tmp_path / "map.tif")
    labels = labels_of(tmp_path / "map.tif")
    np.testing.assert_array_equal(labels == 255, (bands == 0).all(axis=0))


def test_an_alpha_band_masks_unless_it_is_to_be_ignored(
    segmenter: Segmenter,
    write_raster: WriteRaster,
    tmp_path: Path,
    picture: np.ndarray,
    expected: np.ndarray,
) -> None:
    alpha = np.full((1, *SIZE), 255, np.uint8)
    alpha[0, :50] = 0
    bands = np.concatenate([picture.transpose(2, 0, 1), alpha])
    path = write_raster(bands=bands, photometric="RGB", alpha="YES")
    label_raster(segmenter, path, WORDS, tmp_path / "masked.tif")
    masked = labels_of(tmp_path / "masked.tif")
    np.testing.assert_array_equal(masked == 255, alpha[0] == 0)
    settings = MapSettings(alpha="ignore")
    label_raster(segmenter, path, WORDS, tmp_path / "whole.tif", settings=settings)
    np.testing.assert_array_equal(labels_of(tmp_path / "whole.tif"), expected)


def test_a_part_has_the_labels_that_it_has_in_the_whole(
    segmenter: Segmenter, write_raster: WriteRaster, tmp_path: Path, expected: np.ndarray
) -> None:
    box = (500_030.0, 5_199_850.0, 500_200.0, 5_199_960.0)  # rows 80 to 300, columns 60 to 400
    settings = MapSettings(bbox=box)
    label_raster(segmenter, write_raster(), WORDS, tmp_path / "map.tif", settings=settings)
    with rasterio.open(tmp_path / "map.tif") as dataset:
        np.testing.assert_array_equal(dataset.read(1), expected[80:300, 60:400])
        assert tuple(dataset.bounds) == box


def test_a_run_that_is_stopped_goes_on_and_ends_the_same(
    segmenter: Segmenter,
    write_raster: WriteRaster,
    tmp_path: Path,
    expected: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, out, written = write_raster(), tmp_path / "map.tif", []
    write: Callable[..., None] = Parts.write

    def stop_after_two(self: Parts, strip: Any) -> None:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(strip.top)
        write(self, strip)

    monkeypatch.setattr(Parts, "write", stop_after_two)
    with pytest.raises(KeyboardInterrupt):
        label_raster(segmenter, path, WORDS, out)
    assert not out.exists()
    with pytest.raises(InputError, match="--overwrite"):
        label_raster(segmenter, path, "cat, dog", out)
    again: list[int] = []
    monkeypatch.setattr(
        Parts, "write", lambda self, strip: (again.append(strip.top), write(self, strip))
    )
    label_raster(segmenter, path, WORDS, out)
    assert again
    assert not set(again) & set(written)
    np.testing.assert_array_equal(labels_of(out), expected)
    label_raster(segmenter, path, WORDS, tmp_path / "whole.tif")
    assert out.read_bytes() == (tmp_path / "whole.tif").read_bytes()


def test_a_run_that_is_stopped_between_its_files_goes_on(
    segmenter: Segmenter, write_raster: WriteRaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = write_raster(), tmp_path / "map.tif"

    def stop(*_: object) -> Path:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("lhtclip.maps.label.write_areas", stop)
        with pytest.raises(KeyboardInterrupt):
            label_raster(segmenter, path, WORDS, out)
    assert out.exists()
    summary = label_raster(segmenter, path, WORDS, out)
    assert all(file.exists() for file in summary.files)
    with pytest.raises(InputError, match="exists already"):
        label_raster(segmenter, path, WORDS, out)


def test_probabilities_agree_with_labels_and_scores(
    segmenter: Segmenter, write_raster: WriteRaster, tmp_path: Path
) -> None:
    settings = MapSettings(scores=True, probabilities=True)
    label_raster(segmenter, write_raster(), WORDS, tmp_path / "map.tif", settings=settings)
    labels = labels_of(tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.probabilities.tif") as dataset:
        chances = dataset.read()
        assert dataset.descriptions == ("cat", "dog", "tree", "water", "brick", "grass")
    scores = labels_of(tmp_path / "map.scores.tif")
    best = np.take_along_axis(chances, labels[None].astype(int), axis=0)[0]
    assert np.abs(best.astype(int) - scores).max() <= 1
    assert (best >= chances.max(axis=0) - 1).all()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"bands": (9, 1, 1)}, "3 bands"),
        ({"bands": (1, 2)}, "1 or 3"),
        ({"stretch": (5, 5)}, "rise"),
        ({"scale": 0}, "above 0"),
        ({"scale": 2.0, "gsd": 1.0}, "not both"),
        ({"bbox": (0, 0, 1, 1)}, "outside"),
        ({"scale": 0.01}, "Raise --scale"),
    ],
)
def test_settings_that_do_not_fit(
    segmenter: Segmenter,
    write_raster: WriteRaster,
    tmp_path: Path,
    settings: dict[str, Any],
    said: str,
) -> None:
    with pytest.raises(InputError, match=said):
        label_raster(
            segmenter, write_raster(), WORDS, tmp_path / "map.tif", settings=MapSettings(**settings)
        )
    assert not (tmp_path / "map.tif").exists()


def test_files_that_are_no_map_are_refused(segmenter: Segmenter, tmp_path: Path) -> None:
    (tmp_path / "broken.tif").write_bytes(b"II*\0nothing")
    with pytest.raises(InputError, match="Cannot open"):
        label_raster(segmenter, tmp_path / "broken.tif", WORDS, tmp_path / "map.tif")
    with pytest.raises(InputError, match=r"\.tif"):
        label_raster(segmenter, tmp_path / "broken.tif", WORDS, tmp_path / "map.png")


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_ground_control_points_need_a_warp_first(
    segmenter: Segmenter, write_raster: WriteRaster, tmp_path: Path
) -> None:
    from rasterio.control import GroundControlPoint

    points = [GroundControlPoint(0, 0, 11, 48), GroundControlPoint(400, 500, 11.1, 47.9)]
    path = write_raster(gcps=points, transform=Affine.identity(), crs="EPSG:4326")
    with pytest.raises(InputError, match="gdalwarp"):
        label_raster(segmenter, path, WORDS, tmp_path / "map.tif")


def test_a_damaged_block_is_reported(
    segmenter: Segmenter, write_raster: WriteRaster, tmp_path: Path
) -> None:
    path = write_raster(tiled=True, blockxsize=64, blockysize=64, compress="deflate")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"Cannot read the raster .*scene\.tif"):
        label_raster(segmenter, path, WORDS, tmp_path / "map.tif")


def test_half_a_window_further_all_labels_away_from_the_border_are_the_same(
    segmenter: Segmenter, write_raster: WriteRaster, tmp_path: Path, picture: np.ndarray
) -> None:
    small = segmenter.replace(windows=WindowSettings(window=112, stride=56))
    moved = picture[56:, 56:].transpose(2, 0, 1)
    label_raster(small, write_raster(), WORDS, tmp_path / "a.tif")
    label_raster(small, write_raster("b.tif", moved), WORDS, tmp_path / "b-map.tif")
    first, second = labels_of(tmp_path / "a.tif")[56:, 56:], labels_of(tmp_path / "b-map.tif")
    inner = (slice(112, -168), slice(112, -168))  # the last windows end at the border
    assert first[inner].shape == (430 - 56 - 280, 520 - 56 - 280)
    assert (first[inner] == second[inner]).mean() > 0.999


def test_a_mosaic_of_two_files_is_labelled_as_one_scene(
    segmenter: Segmenter,
    write_raster: WriteRaster,
    tmp_path: Path,
    picture: np.ndarray,
    expected: np.ndarray,
) -> None:
    from rasterio.transform import from_origin

    bands = picture.transpose(2, 0, 1)
    west = write_raster("west.tif", bands[:, :, :300])
    east = write_raster(
        "east.tif", bands[:, :, 300:], transform=from_origin(500_150, 5_200_000, 0.5, 0.5)
    )
    sources = "".join(
        f'<VRTRasterBand dataType="Byte" band="{band}">'
        + "".join(
            f'<SimpleSource><SourceFilename relativeToVRT="1">{path.name}</SourceFilename>'
            f"<SourceBand>{band}</SourceBand>"
            f'<SrcRect xOff="0" yOff="0" xSize="{width}" ySize="430"/>'
            f'<DstRect xOff="{left}" yOff="0" xSize="{width}" ySize="430"/></SimpleSource>'
            for path, left, width in ((west, 0, 300), (east, 300, 220))
        )
        + "</VRTRasterBand>"
        for band in (1, 2, 3)
    )
    vrt = tmp_path / "mosaic.vrt"
    vrt.write_text(
        '<VRTDataset rasterXSize="520" rasterYSize="430"><SRS>EPSG:32632</SRS>'
        f"<GeoTransform>500000, 0.5, 0, 5200000, 0, -0.5</GeoTransform>{sources}</VRTDataset>"
    )
    label_raster(segmenter, vrt, WORDS, tmp_path / "map.tif")
    np.testing.assert_array_equal(labels_of(tmp_path / "map.tif"), expected)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no FIFOs")
def test_what_never_ends_is_no_raster(segmenter: Segmenter, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.tif")
    with pytest.raises(InputError, match="is a FIFO"):
        label_raster(segmenter, tmp_path / "fifo.tif", WORDS, tmp_path / "map.tif")
    with pytest.raises(InputError, match="holds no"):
        find_scenes([str(tmp_path)])


def test_damaged_strips_are_removed_and_named(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "map.tif", {}, overwrite=False)
    parts.write(Strip(0, np.zeros((2, 3), np.uint8), None, None))
    (strip,) = parts.folder.glob("*.npz")
    strip.write_bytes(strip.read_bytes()[:40])
    with pytest.raises(InputError, match="damaged and is removed"):
        list(parts)
    assert parts.done() == set()


def test_a_map_is_made_by_one_command_at_a_time(tmp_path: Path) -> None:
    with (
        locked(tmp_path / "map.tif"),
        pytest.raises(OutputError, match="Another command"),
        locked(tmp_path / "map.tif"),
    ):
        pass


def test_gdal_keeps_quiet_in_threads_too(
    write_raster: WriteRaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Source(write_raster(), MapSettings())) as source:
        quiet: list[bool] = []
        values = source._values

        def read(window: Any) -> Any:
            with source._reading():  # in an environment GDAL's messages go to the logger
                quiet.append(rasterio.env.hasenv())
            return values(window)

        monkeypatch.setattr(source, "_values", read)
        with ThreadPoolExecutor(1) as thread:
            thread.submit(source.levels, 0, 10, 0, 10).result()
        assert quiet == [True]
