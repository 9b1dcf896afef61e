"""What the tags of a TIFF say about its values, also where Pillow does not look."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lhtclip.errors import InputError
from lhtclip.image import opening
from lhtclip.image.pixels import read_image
from lhtclip.image.settings import ReadingSettings

tifffile = pytest.importorskip("tifffile")
GREY = np.arange(0, 252, 7, dtype=np.uint8).reshape(4, 9)
COLOURS = np.dstack([GREY, GREY[::-1], GREY[:, ::-1]])
DEEP = GREY.astype(np.uint16) * 257


def saved(values: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, values, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("values", "settings"),
    [
        (GREY, {}),
        (DEEP, {}),
        (DEEP, {"range": "0%,100%"}),
        ((GREY / 255).astype(np.float32), {}),
        (GREY / 255, {"range": "0%,100%"}),
    ],
    ids=["8 bits", "16 bits", "16 bits stretched", "float", "64-bit float"],
)
def test_white_may_be_zero(values: np.ndarray, settings: dict[str, Any]) -> None:
    reading = ReadingSettings(**settings)
    black = read_image(saved(values, photometric="minisblack"), settings=reading)
    white = read_image(saved(values, photometric="miniswhite"), settings=reading)
    np.testing.assert_array_equal(white, 255 - black)


def test_a_range_says_itself_what_is_white() -> None:
    data = saved(DEEP, photometric="miniswhite")
    levels = read_image(data, settings=ReadingSettings(range=(0, 65535)))
    np.testing.assert_array_equal(levels[..., 0], GREY)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_every_reader_turns_images_upright(orientation: int, planar: str) -> None:
    file = io.BytesIO()
    Image.fromarray(COLOURS).save(file, "TIFF", tiffinfo={274: orientation})
    wide = COLOURS.astype(np.uint16) * 257
    data = saved(
        wide if planar == "contig" else wide.transpose(2, 0, 1),
        photometric="rgb",
        planarconfig=planar,
        extratags=[(274, 3, 1, orientation, True)],
    )
    np.testing.assert_array_equal(read_image(data), read_image(file.getvalue()))


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("tile", [None, (16, 16)])
@pytest.mark.parametrize("values", [COLOURS, DEEP], ids=["colours", "grey"])
def test_big_tiffs_of_both_orders(byteorder: str, tile: Any, values: np.ndarray) -> None:
    kind = "rgb" if values.ndim == 3 else "minisblack"
    data = saved(values, bigtiff=True, byteorder=byteorder, tile=tile, photometric=kind)
    expected = COLOURS if values.ndim == 3 else np.dstack([GREY] * 3)
    np.testing.assert_array_equal(read_image(data), expected)


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        (GREY.astype(np.int8), "int8 from -123 to 126"),
        (GREY.astype(np.uint32) << 24, r"uint32 from 0 to 4\.\d+e\+09"),
    ],
)
def test_values_that_pillow_takes_for_others(values: np.ndarray, shown: str) -> None:
    with pytest.raises(InputError, match=f"{shown}.*--range"):
        read_image(saved(values))
    low, high = float(values.min()), float(values.max())
    levels = read_image(saved(values), settings=ReadingSettings(range=(low, high)))
    expected = np.floor((values.astype(float) - low) * (255 / (high - low)) + 0.5)
    np.testing.assert_array_equal(levels[..., 0], expected)


def test_small_unsigned_values_are_sixteen_bits(caplog: pytest.LogCaptureFixture) -> None:
    np.testing.assert_array_equal(read_image(saved(DEEP.astype(np.uint32)))[..., 0], GREY)
    assert not caplog.records


def test_palettes_of_sixteen_bits_are_refused() -> None:
    table = np.zeros((3, 65536), np.uint16)
    with pytest.raises(InputError, match=r"palette of 16 bits.*RGB"):
        read_image(saved(DEEP, photometric="palette", colormap=table))


@pytest.mark.parametrize("bits", [8, 64])
def test_sizes_beyond_the_memory_are_refused_before_decoding(
    bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LHTCLIP_MEMORY_GB", "0.0000001")
    monkeypatch.setattr(opening, "_load", None)
    data = saved(GREY if bits == 8 else GREY.astype(np.float64), compression="zlib")
    with pytest.raises(InputError, match=r"4 x 9 pixels would take .*LHTCLIP_MEMORY_GB"):
        read_image(data)


def test_sixteen_bits_are_counted_before_they_are_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LHTCLIP_MEMORY_GB", "0.000001")  # 36 pixels of 12 bytes, not of 32
    with pytest.raises(InputError, match=r"4 x 9 pixels would take .*LHTCLIP_MEMORY_GB"):
        read_image(saved(COLOURS.astype(np.uint16), photometric="rgb"))


def test_warnings_of_pillow_stay_off_the_command_line(capfd: pytest.CaptureFixture[str]) -> None:
    from lhtclip.cli.console import warnings_shown

    file = io.BytesIO()
    damaged = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x02\0\0\0\x06\0\x06\0\0\0\0\0"
    Image.fromarray(COLOURS).save(file, "JPEG", exif=damaged)
    with warnings_shown():
        assert read_image(file.getvalue()).shape == (9, 4, 3)
    assert capfd.readouterr().err == ""
