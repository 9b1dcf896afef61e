"""Every kind of picture a user may hold."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lhtclip.errors import InputError
from lhtclip.image.pixels import read_image

RED, BLUE, GREY, WHITE = (255, 0, 0), (0, 0, 255), (128, 128, 128), (255, 255, 255)


def photo(height: int = 5, width: int = 7, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encoded(picture: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format=format, **options)
    return file.getvalue()


def palette_picture(*, see_through: bool) -> Image.Image:
    picture = Image.new("P", (2, 1))
    picture.putpalette([*RED, *BLUE])
    picture.putdata([0, 1])
    if see_through:
        picture.info["transparency"] = 1
    return picture


def grey_with_alpha() -> Image.Image:
    picture = Image.new("LA", (2, 1))
    picture.putdata([(128, 255), (128, 0)])
    return picture


def rgba() -> Image.Image:
    picture = Image.new("RGBA", (2, 1))
    picture.putdata([(*RED, 255), (0, 0, 0, 0)])
    return picture


def sixteen_bit(mode: str, values: list[int]) -> Image.Image:
    picture = Image.new(mode, (len(values), 1))
    picture.putdata(values)
    return picture


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (Image.new("RGB", (2, 1), RED), [RED, RED]),
        (Image.new("L", (2, 1), 128), [GREY, GREY]),
        (Image.new("1", (2, 1), 1), [WHITE, WHITE]),
        (Image.new("CMYK", (2, 1), (0, 255, 255, 0)), [RED, RED]),
        (Image.new("RGBX", (2, 1), RED), [RED, RED]),
        (Image.new("HSV", (2, 1), (0, 255, 255)), [RED, RED]),
        (grey_with_alpha(), [GREY, WHITE]),
        (rgba(), [RED, WHITE]),
        (Image.new("RGBA", (1, 1), (0, 0, 0, 51)), [(204, 204, 204)]),  # a fifth of black
        (palette_picture(see_through=False), [RED, BLUE]),
        (palette_picture(see_through=True), [RED, WHITE]),
        (palette_picture(see_through=True).convert("PA"), [RED, WHITE]),
        (sixteen_bit("I;16", [0, 257, 32896, 65535]), [(0,) * 3, (1,) * 3, GREY, WHITE]),
        (sixteen_bit("I;16B", [257, 65535]), [(1,) * 3, WHITE]),
        (sixteen_bit("I", [128, 129, 65535]), [(0,) * 3, (1,) * 3, WHITE]),  # halves round up
        (Image.new("F", (2, 1), 0.5), [GREY, GREY]),
    ],
    ids=lambda value: value.mode if isinstance(value, Image.Image) else "",
)
def test_every_picture_mode_becomes_rgb(
    picture: Image.Image, expected: list[tuple[int, int, int]]
) -> None:
    image = read_image(picture)
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    assert image.flags.writeable
    assert image[0].tolist() == [list(colour) for colour in expected]


@pytest.mark.parametrize(
    ("picture", "format", "expected"),
    [
        (palette_picture(see_through=True), "PNG", [RED, WHITE]),
        (palette_picture(see_through=True), "GIF", [RED, WHITE]),
        (rgba(), "WEBP", None),
        (rgba(), "TIFF", [RED, WHITE]),
        (sixteen_bit("I;16", [0, 257, 65535]), "PNG", [(0,) * 3, (1,) * 3, WHITE]),
        (sixteen_bit("I;16", [0, 257, 65535]), "TIFF", [(0,) * 3, (1,) * 3, WHITE]),
        (sixteen_bit("I;16", [0, 257, 65535]), "PPM", [(0,) * 3, (1,) * 3, WHITE]),
        (Image.new("1", (2, 1), 1), "PNG", [WHITE, WHITE]),
        (Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", None),
        (Image.fromarray(photo()), "BMP", None),
    ],
)
def test_files_keep_their_meaning(
    picture: Image.Image, format: str, expected: list[tuple[int, int, int]] | None
) -> None:
    image = read_image(encoded(picture, format))
    assert image.shape == (picture.height, picture.width, 3)
    if expected is not None:
        assert image[0].tolist() == [list(colour) for colour in expected]


def test_a_colour_marked_transparent_becomes_white() -> None:
    picture = Image.new("RGB", (2, 1), RED)
    picture.putpixel((1, 0), BLUE)
    assert read_image(encoded(picture, transparency=BLUE))[0].tolist() == [list(RED), list(WHITE)]


def test_cmyk_jpeg_reads_as_its_colour() -> None:
    red = read_image(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"))
    np.testing.assert_allclose(red[4, 4], RED, atol=6)


def test_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (3, 2), colour) for colour in (RED, BLUE)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert read_image(data)[0, 0].tolist() == list(RED)


TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {  # from stored to upright, by definition
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: np.rot90(stored),
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_exif_orientation_is_applied(orientation: int, format: str) -> None:
    stored = photo(2, 3)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(stored), format, exif=exif)
    np.testing.assert_array_equal(read_image(data), TURNS[orientation](stored))


def test_exif_orientation_of_a_jpeg_and_of_a_given_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "a.jpg"
    Image.new("RGB", (16, 8), RED).save(path, exif=exif)
    assert read_image(path).shape == (16, 8, 3)
    with Image.open(path) as picture:
        assert read_image(picture).shape == (16, 8, 3)
        assert picture.size == (16, 8)  # the caller's picture is left alone


@pytest.mark.parametrize("exif", [b"Exif\x00\x00rubbish", b"Exif\x00\x00II*\x00\xff\xff\xff\x7f"])
def test_broken_metadata_does_not_matter(exif: bytes) -> None:
    assert read_image(encoded(Image.new("RGB", (8, 8)), "JPEG", exif=exif)).shape == (8, 8, 3)


def test_paths_as_str_and_path_and_bytes_agree(tmp_path: Path) -> None:
    image = photo()
    path = tmp_path / "no suffix needed"
    path.write_bytes(encoded(Image.fromarray(image)))
    for source in (path, str(path), path.read_bytes()):
        np.testing.assert_array_equal(read_image(source), image)


@pytest.mark.parametrize(
    "dtype", [np.uint8, np.float16, np.float32, np.float64], ids=lambda dtype: dtype.__name__
)
@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 3), (4, 5, 4)])
def test_arrays(shape: tuple[int, ...], dtype: type) -> None:
    levels = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    if shape[-1] == 4:
        levels[..., 3] = 255
    array = levels if dtype is np.uint8 else (levels / 255).astype(dtype)
    image = read_image(array)
    expected = np.broadcast_to(levels.reshape(4, 5, -1)[..., :3], (4, 5, 3))
    np.testing.assert_array_equal(image, expected)
    assert not np.shares_memory(image, array)


def test_array_views_and_read_only_arrays() -> None:
    image = photo()
    image.flags.writeable = False
    flipped = read_image(image[:, ::-1])
    np.testing.assert_array_equal(flipped, image[:, ::-1])
    assert flipped.flags.c_contiguous
    assert flipped.flags.writeable


def test_alpha_of_arrays_is_laid_on_white() -> None:
    array = np.array([[[0, 0, 0, 0], [255, 0, 0, 255]]], dtype=np.uint8)
    assert read_image(array)[0].tolist() == [list(WHITE), list(RED)]


@pytest.mark.parametrize(
    "dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str
)
@pytest.mark.parametrize("channels", [1, 3])
def test_tensors(channels: int, dtype: torch.dtype) -> None:
    levels = torch.randint(0, 256, (channels, 4, 5), dtype=torch.uint8)
    tensor = levels if dtype == torch.uint8 else (levels / 255).to(dtype)
    if dtype.is_floating_point:
        tensor.requires_grad_()
    expected = np.broadcast_to(levels.permute(1, 2, 0).numpy(), (4, 5, 3))
    tolerance = 1 if dtype == torch.bfloat16 else 0  # 8 bits of precision are not quite 8 bits
    np.testing.assert_allclose(read_image(tensor).astype(int), expected, atol=tolerance)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (np.zeros((3, 4, 5), np.uint8), ["(3, 4, 5)", "(H, W, 3)", "transpose(1, 2, 0)"]),
        (np.zeros((1, 4, 5, 3), np.uint8), ["One image", "(1, 4, 5, 3)"]),
        (np.zeros((), np.uint8), ["()"]),
        (np.zeros((4, 5, 2), np.uint8), ["(4, 5, 2)"]),
        (np.zeros((0, 5, 3), np.uint8), ["empty", "0 rows"]),
        (np.zeros((4, 0), np.uint8), ["empty"]),
        (np.zeros((4, 5), np.int64), ["int64", "uint8"]),
        (np.zeros((4, 5), np.uint16), ["uint16", "uint8"]),
        (np.zeros((4, 5), bool), ["bool"]),
        (np.full((4, 5, 3), 255.0), ["[0, 1]", "255"]),
        (np.full((4, 5, 3), -0.5), ["[0, 1]", "-0.5"]),
        (np.full((4, 5, 3), np.nan), ["[0, 1]", "nan"]),
        (torch.zeros(4, 5, 3), ["(4, 5, 3)", "(3, H, W)", "permute(2, 0, 1)"]),
        (torch.zeros(4, 5), ["(4, 5)", "(1, H, W)"]),
        (torch.zeros(2, 3, 4, 5), ["One image", "(2, 3, 4, 5)"]),
        (torch.zeros(3, 0, 5), ["empty"]),
        (torch.zeros(3, 4, 5, dtype=torch.int32), ["int32", "uint8"]),
        (torch.zeros(3, 4, 5) + 2, ["[0, 1]", "2"]),
        (Image.new("RGB", (0, 4)), ["empty"]),
        (Image.new("F", (2, 2), 7.5), ["float32", "7.5", "--range"]),
        (Image.new("I", (2, 2), 70000), ["int32", "70000", "--range"]),
        (Image.new("I", (2, 2), -1), ["int32", "-1", "--range"]),
        (Image.new("La", (2, 2)), ["La", "RGB"]),
        (None, ["NoneType", "path"]),
        ([[1, 2]], ["list"]),
        (b"", ["not an image"]),
        (b"plain text", ["not an image", "PNG"]),
    ],
    ids=lambda value: "" if isinstance(value, list) else None,
)
def test_unusable_sources_are_explained(source: Any, words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        read_image(source)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_unusable_files_are_named(tmp_path: Path) -> None:
    text = tmp_path / "notes.png"
    text.write_text("not a picture")
    cases = {tmp_path: "", text: "not an image", tmp_path / "gone.png": "No such file", "a\0b": ""}
    for path, word in cases.items():
        with pytest.raises(InputError) as caught:
            read_image(path)
        assert str(path) in str(caught.value)
        assert word in str(caught.value)
