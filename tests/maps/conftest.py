"""A scene composed of bundled ones, as a raster in any form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lhtclip import Segmenter, WindowSettings
from lhtclip.datasets.scene_files import bundled_scenes

pytest.importorskip("rasterio")

WORDS = "cat, dog, tree, water, brick|wall, grass"
SIZE = (430, 520)  # height, width
WriteRaster = Callable[..., Path]


@pytest.fixture(scope="session")
def picture() -> np.ndarray:
    """RGB levels (430, 520, 3): four scenes side by side."""
    tiles = [
        np.array(Image.open(scene.image).convert("RGB").resize((260, 215)))
        for scene in bundled_scenes()[:4]
    ]
    return np.concatenate([np.concatenate(tiles[:2], 1), np.concatenate(tiles[2:], 1)], 0)


@pytest.fixture(scope="session")
def segmenter() -> Segmenter:
    """The bundled model; images keep their own size, as rasters do."""
    windows = WindowSettings(short_side=SIZE[0], long_side=10_000)
    return Segmenter.from_pretrained(
        "bundled", device="cpu", dtype="float32", windows=windows, text_cache=False
    )


@pytest.fixture
def write_raster(tmp_path: Path, picture: np.ndarray) -> WriteRaster:
    """Return a function that writes the picture as a GeoTIFF."""
    import rasterio
    from rasterio.transform import from_origin

    def write(name: str = "scene.tif", bands: np.ndarray | None = None, **profile: Any) -> Path:
        bands = picture.transpose(2, 0, 1) if bands is None else bands
        profile = {
            "driver": "GTiff",
            "crs": "EPSG:32632",
            "transform": from_origin(500_000, 5_200_000, 0.5, 0.5),
        } | profile
        count, height, width = bands.shape
        path = tmp_path / name
        with rasterio.open(
            path, "w", count=count, height=height, width=width, dtype=bands.dtype, **profile
        ) as dataset:
            dataset.write(bands)
        return path

    return write
