"""Pictures read and resized as by OpenCV, with which the published evaluations were made."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import Base as ExifTag

from lhtclip.image.pixels import read_image, resized_shape, to_pixels

Picture = NDArray[np.uint8]


def noise(height: int, width: int, *, seed: int = 0, extreme: bool = False) -> Picture:
    """The hardest picture: neighbours have nothing in common; `extreme` is black and white."""
    levels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return np.where(levels > 127, 255, 0).astype(np.uint8) if extreme else levels


def gradient(height: int, width: int) -> Picture:
    """A picture as smooth as most of a photograph."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [128 + 100 * np.sin(y / 31 + x / 17 + phase) for phase in (0, 1, 2)]
    return np.stack(planes, axis=-1).astype(np.uint8)


def resized(image: Picture, size: tuple[int, int]) -> NDArray[np.float32]:
    pixels = to_pixels(image, size, mean=(0, 0, 0), std=(1 / 255, 1 / 255, 1 / 255))
    return pixels.permute(1, 2, 0).numpy()


def resized_by_opencv(image: Picture, size: tuple[int, int]) -> Picture:
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR).reshape(*size, 3)


def distance(image: Picture, size: tuple[int, int]) -> NDArray[np.float32]:
    """Grey levels between the two resizes."""
    return np.abs(resized(image, size) - resized_by_opencv(image, size))


@settings(max_examples=150, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 150), st.integers(1, 150)),
    size=st.tuples(st.integers(1, 150), st.integers(1, 150)),
    seed=st.integers(0, 99),
    extreme=st.booleans(),
)
def test_resize_is_opencvs_within_one_level(
    shape: tuple[int, int], size: tuple[int, int], seed: int, extreme: bool
) -> None:
    assert distance(noise(*shape, seed=seed, extreme=extreme), size).max() < 1.001


@pytest.mark.parametrize("short_side", [336, 448, 560])
@pytest.mark.parametrize(
    "shape",
    [
        (375, 500),  # VOC
        (500, 333),
        (480, 640),  # COCO
        (1024, 2048),  # Cityscapes
        (150, 1400),  # the long side binds
        (112, 112),  # enlarged threefold
    ],
)
def test_resize_of_the_data_sets(shape: tuple[int, int], short_side: int) -> None:
    size = resized_shape(*shape, short_side=short_side)
    assert distance(noise(*shape, extreme=True), size).max() < 1.001
    smooth = distance(gradient(*shape), size)
    assert smooth.max() < 1.001
    assert smooth.mean() < 0.15  # OpenCV cuts off what is below a quarter level, one in eight


def test_resize_of_a_cameras_picture() -> None:
    """Sample points keep their precision far from the origin."""
    shape = (1500, 8000)
    size = resized_shape(*shape, short_side=336)
    assert distance(noise(*shape, extreme=True), size).max() < 1.001


def test_a_picture_of_the_right_size_is_not_resampled() -> None:
    image = noise(20, 30)
    np.testing.assert_allclose(resized(image, (20, 30)), image, atol=1e-4)


@pytest.mark.parametrize("factor", [2, 4])
def test_halving_is_opencvs_too(factor: int) -> None:
    """OpenCV averages areas where a picture is halved exactly."""
    assert distance(noise(96, 64, extreme=True), (96 // factor, 64 // factor)).max() < 1.001


# Files


def read_by_opencv(path: Path) -> Picture:
    levels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert levels is not None
    return cv2.cvtColor(levels, cv2.COLOR_BGR2RGB)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_jpegs_are_read_upright_as_by_opencv(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTag.Orientation] = orientation
    path = tmp_path / "photo.jpg"
    Image.fromarray(gradient(37, 52)).save(path, quality=90, exif=exif)
    image = read_image(path)
    assert image.shape == ((37, 52, 3) if orientation < 5 else (52, 37, 3))
    assert np.abs(image.astype(int) - read_by_opencv(path)).max() <= 1


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_jpegs_are_decoded_as_by_opencv(mode: str, subsampling: int, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    picture = Image.fromarray(noise(67, 93)).convert(mode)
    picture.save(path, quality=80, subsampling=subsampling)
    assert np.abs(read_image(path).astype(int) - read_by_opencv(path)).max() <= 1


@pytest.mark.parametrize("mode", ["RGB", "L", "P"])
def test_pngs_are_read_as_by_opencv(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    Image.fromarray(noise(31, 45)).convert(mode).save(path)
    np.testing.assert_array_equal(read_image(path), read_by_opencv(path))
