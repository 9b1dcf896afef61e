"""Image files that are broken, huge or have to be found first."""

from __future__ import annotations

import io
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lhtclip.errors import InputError
from lhtclip.image import opening as pictures
from lhtclip.image.files import find_images
from lhtclip.image.pixels import read_image


def photo(height: int = 5, width: int = 7, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encoded(picture: Image.Image, format: str = "PNG") -> bytes:
    file = io.BytesIO()
    picture.save(file, format=format)
    return file.getvalue()


@pytest.mark.filterwarnings("ignore")  # Pillow remarks on odd metadata
@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP", "PPM"])
def test_damaged_files_never_raise_anything_else(format: str) -> None:
    whole = encoded(Image.fromarray(photo(16, 16)), format)
    with pytest.raises(InputError):
        read_image(whole[: len(whole) * 2 // 3])
    rng = random.Random(0)
    for _ in range(40):
        damaged = bytearray(whole)
        for _ in range(4):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        try:
            image = read_image(bytes(damaged), max_pixels=10_000)
        except InputError:
            continue
        assert image.dtype == np.uint8


def test_a_truncated_picture_that_was_opened_lazily(tmp_path: Path) -> None:
    path = tmp_path / "half.png"
    path.write_bytes(encoded(Image.fromarray(photo(32, 32)))[:1500])
    with Image.open(path) as picture, pytest.raises(InputError, match="Cannot decode"):
        read_image(picture)


@pytest.mark.parametrize("kind", ["bytes", "picture", "array", "tensor"])
def test_pixel_limit(kind: str) -> None:
    image = photo(4, 5)
    source = {
        "bytes": encoded(Image.fromarray(image)),
        "picture": Image.fromarray(image),
        "array": image,
        "tensor": torch.from_numpy(image).permute(2, 0, 1),
    }[kind]
    np.testing.assert_array_equal(read_image(source, max_pixels=20), image)
    with pytest.raises(InputError, match="max_pixels=19"):
        read_image(source, max_pixels=19)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "GIF", "BMP"])
def test_pillows_own_limit_neither_warns_nor_stops(
    monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    monkeypatch.setattr(pictures, "_PILLOW_LIMIT", 10)
    data = encoded(Image.new("RGB", (8, 8)), format)
    assert read_image(data, max_pixels=64).shape == (8, 8, 3)
    with pytest.raises(InputError, match="max_pixels=63"):
        read_image(data, max_pixels=63)
    assert Image.MAX_IMAGE_PIXELS == 10


def test_formats_that_start_other_programs_are_not_opened() -> None:
    with pytest.raises(InputError, match=r"PostScript drawing, which is not read.*PNG"):
        read_image(encoded(Image.new("RGB", (4, 4)), "EPS"))


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_folders_are_searched_and_sorted(tmp_path: Path) -> None:
    touch(tmp_path, "b.JPG", "a.png", "deep/er/c.tif", "notes.txt", ".hidden.png", ".git/d.png")
    expected = [tmp_path / name for name in ("a.png", "b.JPG", "deep/er/c.tif")]
    assert find_images(tmp_path) == expected
    assert find_images([str(tmp_path)]) == expected


def test_files_globs_and_repetitions(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png", "sub/c.png", "odd.suffix", "[x].png")
    odd = tmp_path / "odd.suffix"
    assert find_images(odd) == [odd]
    assert find_images(tmp_path / "[x].png") == [tmp_path / "[x].png"]
    assert find_images(f"{tmp_path}/[ab].png") == [tmp_path / "a.png", tmp_path / "b.png"]
    assert find_images(f"{tmp_path}/**/c.png") == [tmp_path / "sub/c.png"]
    assert find_images(f"{tmp_path}/s*") == [tmp_path / "sub/c.png"]
    both = find_images([tmp_path / "b.png", tmp_path / "a.png", tmp_path / "b.png"])
    assert both == [tmp_path / "b.png", tmp_path / "a.png"]
    assert find_images([]) == []


def test_globs_and_links(tmp_path: Path) -> None:
    touch(tmp_path, "a[1]/b.png", "a[1]/c/d.png")
    (tmp_path / "a[1]/c/up").symlink_to(tmp_path / "a[1]")
    (tmp_path / "a[1]/e.png").symlink_to("b.png")
    expected = [tmp_path / "a[1]" / name for name in ("b.png", "c/d.png", "e.png")]
    assert find_images(f"{tmp_path}/a[1]/**/*.png") == expected


def test_hidden_images_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch(tmp_path, ".a.jpg", "._b.jpg", ".git/c.jpg", ".notes")
    with pytest.raises(InputError, match=r"Skipped: 1 hidden file\."):
        find_images(tmp_path)
    touch(tmp_path, "d.MPO", "e.J2C", "f.mp4", "g.SRW")
    assert find_images(tmp_path) == [tmp_path / "d.MPO", tmp_path / "e.J2C"]
    assert "1 .mp4 (not read), 1 .srw (not read), 1 hidden file" in caplog.text


@pytest.mark.parametrize("name", ["gone.png", "*.gif", "empty", "x" * 300])
def test_paths_that_match_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError) as caught:
        find_images(tmp_path / name)
    assert name in str(caught.value)
