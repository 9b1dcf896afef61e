"""Images as people bring them: whatever cannot be read as it stands is told, never guessed."""

from __future__ import annotations

import io
import os
import socket
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lhtclip.errors import InputError
from lhtclip.image import tiff
from lhtclip.image.files import find_images
from lhtclip.image.pixels import read_image
from lhtclip.image.settings import ReadingSettings

STRETCHED = ReadingSettings(range="2%,98%")


def png(values: np.ndarray) -> bytes:
    cv2 = pytest.importorskip("cv2")
    return bytes(cv2.imencode(".png", values[..., ::-1] if values.ndim == 3 else values)[1])


def saved(picture: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def tiff_of(values: np.ndarray, **options: Any) -> bytes:
    tifffile = pytest.importorskip("tifffile")
    file = io.BytesIO()
    tifffile.imwrite(file, values, **options)
    return file.getvalue()


def reflectance(*shape: int, top: int = 3000) -> np.ndarray:
    return (np.random.default_rng(0).random(shape) * top).astype(np.uint16)


def told(caplog: pytest.LogCaptureFixture) -> str:
    return " ".join(record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("shape", [(32, 32), (32, 32, 3)], ids=["grey", "colour"])
def test_sixteen_bits_in_a_part_of_their_range(
    shape: tuple[int, ...], caplog: pytest.LogCaptureFixture
) -> None:
    values = reflectance(*shape)
    dark = read_image(png(values))
    assert dark.max() <= 12
    assert "--range" in told(caplog)
    caplog.clear()
    clear = read_image(png(values), settings=ReadingSettings(range=(0, 3000)))
    expected = np.floor(values * (255 / 3000) + 0.5)
    np.testing.assert_allclose(clear, np.broadcast_to(expected.reshape(32, 32, -1), clear.shape))
    assert read_image(png(values), settings=STRETCHED).std() > 60
    assert told(caplog) == ""


@pytest.mark.parametrize("nodata", [0, 65535])
def test_no_data_does_not_hide_a_dark_image(nodata: int, caplog: pytest.LogCaptureFixture) -> None:
    values = reflectance(32, 32)
    values[:16] = nodata
    read_image(png(values))
    assert "--range" in told(caplog)


def test_full_range_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    read_image(png(reflectance(32, 32, 3, top=65535)))
    read_image(png(np.zeros((8, 8), np.uint16)))
    assert told(caplog) == ""


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_sixteen_bit_colours_keep_all_bits(byteorder: str, compression: Any, planar: str) -> None:
    values = reflectance(12, 10, 3)
    stored = values if planar == "contig" else values.transpose(2, 0, 1)
    data = tiff_of(
        stored,
        photometric="rgb",
        byteorder=byteorder,
        compression=compression,
        planarconfig=planar,
    )
    levels = read_image(data, settings=ReadingSettings(range="0,3000"))
    np.testing.assert_array_equal(levels, np.floor(values * (255 / 3000) + 0.5))


def near_infrared() -> Image.Image:
    bands = np.full((32, 32, 4), (20, 60, 40, 200), np.uint8)
    bands[:, :16, 3] = 5  # water
    return Image.fromarray(bands)


@pytest.mark.parametrize("given", ["TIFF", "PNG", "picture", "array"])
def test_near_infrared_as_alpha(given: str, caplog: pytest.LogCaptureFixture) -> None:
    picture = near_infrared()
    source: Any = {"picture": picture, "array": np.asarray(picture)}.get(given)
    source = saved(picture, given) if source is None else source
    assert read_image(source)[16, 4].min() > 200
    assert "--alpha ignore" in told(caplog)
    caplog.clear()
    seen = read_image(source, settings=ReadingSettings(alpha="ignore"))
    assert seen[16, 4].tolist() == [20, 60, 40]
    false_colour = read_image(source, settings=ReadingSettings(bands="4,1,2"))
    assert false_colour[16, 20].tolist() == [200, 20, 60]
    assert told(caplog) == ""


def test_a_cut_out_drawing_is_no_reason_to_warn(caplog: pytest.LogCaptureFixture) -> None:
    bands = np.zeros((32, 32, 4), np.uint8)
    bands[8:24, 8:24, 3] = 255
    read_image(Image.fromarray(bands))
    assert told(caplog) == ""


def stored_as(bits: int, bands: int, kind: int, values: bytes = b"") -> bytes:
    """Return a little-endian uncompressed TIFF of 4 x 4 pixels, interleaved."""
    data = values or bytes(4 * 4 * bands * bits // 8)
    tags = [(256, 3, 4), (257, 3, 4), (258, 3, bits), (259, 3, 1), (262, 3, 1), (273, 4, 8)]
    tags += [(277, 3, bands), (278, 3, 4), (279, 4, len(data)), (284, 3, 1), (339, 3, kind)]
    entries = b"".join(struct.pack("<HHII", tag, type_, 1, value) for tag, type_, value in tags)
    head = b"II*\0" + struct.pack("<I", 8 + len(data)) + data
    return head + struct.pack("<H", len(tags)) + entries + bytes(4)


@pytest.mark.parametrize(
    ("bits", "bands", "kind", "named"),
    [
        (64, 1, 3, "1 band of 64-bit floating-point numbers"),
        (16, 10, 1, "10 bands of 16-bit unsigned integers"),
        (8, 7, 2, "7 bands of 8-bit signed integers"),
        (64, 2, 1, "2 bands of 64-bit unsigned integers"),
    ],
)
def test_tiffs_that_pillow_cannot_read_say_what_they_hold(
    bits: int, bands: int, kind: int, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiff, "can_read_values", lambda: False)
    with pytest.raises(InputError, match=named) as caught:
        read_image(stored_as(bits, bands, kind))
    assert r"lhtclip[tiff]" in str(caught.value)


def test_tiffs_of_any_kind_are_read_once_it_is_clear_how() -> None:
    pytest.importorskip("tifffile")
    values = np.linspace(-1, 1, 16).astype("<f8")
    data = stored_as(64, 1, 3, values.tobytes())
    with pytest.raises(InputError, match="--range"):
        read_image(data)
    levels = read_image(data, settings=ReadingSettings(range=(-1, 1)))
    np.testing.assert_array_equal(levels[..., 0].ravel(), np.floor((values + 1) * 127.5 + 0.5))
    bands = np.arange(160, dtype="<u2").reshape(4, 4, 10)
    data = stored_as(16, 10, 1, bands.tobytes())
    with pytest.raises(InputError, match=r"10 bands.*--bands"):
        read_image(data)
    chosen = ReadingSettings(bands=(4, 3, 2), range=(0, 255))
    np.testing.assert_array_equal(read_image(data, settings=chosen), bands[..., [3, 2, 1]])
    with pytest.raises(InputError, match="no band 11"):
        read_image(data, settings=ReadingSettings(bands="11"))


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_further_frames_are_named(format: str, caplog: pytest.LogCaptureFixture) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    read_image(saved(frames[0], format, save_all=True, append_images=frames[1:]))
    assert "3 pages" in told(caplog) if format == "TIFF" else "3 frames" in told(caplog)
    caplog.clear()
    read_image(saved(frames[0], format))
    assert told(caplog) == ""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no FIFOs")
def test_what_a_folder_leaves_out_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lhtclip.image.files.has_heif", lambda: False)
    (tmp_path / "elsewhere").mkdir()
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.jpg", "IMG_2.HEIC", "b.nef", "notes.txt"):
        (folder / name).touch()
    os.mkfifo(folder / "c.png")
    (folder / "d.png").symlink_to("gone")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "done/.lhtclip").mkdir(parents=True)
    (folder / "done/a.png").touch()
    assert find_images(folder) == [folder / "a.jpg"]
    for word in (
        ".heic (pip install",
        "1 folder of results (done)",
        "1 .nef",
        "1 FIFO",
        "1 broken link",
        "1 linked folder",
    ):
        assert word in told(caplog)
    assert "txt" not in told(caplog)


def test_heic_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lhtclip.image.opening.has_heif", lambda: False)
    with pytest.raises(InputError, match=r"HEIC.*lhtclip\[heif\]"):
        read_image(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")


def test_heic_is_read() -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    red = read_image(saved(Image.new("RGB", (16, 16), (200, 30, 30)), "HEIF"))
    assert np.abs(red[8, 8].astype(int) - (200, 30, 30)).max() < 6


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no FIFOs")
def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "b.png"))
        for name, kind in (("a.png", "FIFO"), ("b.png", "socket"), ("/dev/zero", "device")):
            with pytest.raises(InputError, match=f"{kind}.*only regular files"):
                read_image(tmp_path / name)


@pytest.mark.parametrize(
    ("image", "remedy"),
    [
        (np.ones((4, 4), bool), r"astype\(np\.uint8\) \* 255"),
        (np.ones((4, 4), complex), "convert them first"),
        (np.ma.masked_array(np.ones((4, 4), np.uint8), mask=np.eye(4)), "filled"),
    ],
)
def test_arrays_of_other_kinds_say_what_helps(image: Any, remedy: str) -> None:
    with pytest.raises(InputError, match=remedy):
        read_image(image)


def test_open_files_and_path_likes(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(saved(Image.new("RGB", (4, 3), "red"), "PNG"))

    class Somewhere:
        def __fspath__(self) -> str:
            return str(path)

    with path.open("rb") as file:
        np.testing.assert_array_equal(read_image(file), read_image(Somewhere()))
    with pytest.raises(InputError, match="'rb'"):
        read_image(io.StringIO("text"))


def test_c_libraries_keep_quiet(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    dots = Image.fromarray(np.random.default_rng(0).random((32, 32)) < 0.5)
    whole = saved(dots, "TIFF", compression="group4")
    refused = 0
    for place in range(8, 208, 10):
        damaged = whole[:place] + bytes(4) + whole[place + 4 :]
        try:
            read_image(damaged)
        except InputError:
            refused += 1
    assert refused + told(caplog).count("partly damaged") > 0
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"range": "0"}, "'0'"),
        ({"range": "3000,0"}, "3000,0"),
        ({"range": "2%,98"}, "2%,98"),
        ({"range": "-1%,50%"}, "-1%,50%"),
        ({"range": 7}, "7"),
        ({"range": (0, float("nan"))}, "nan"),
        ({"bands": "1,2"}, "1,2"),
        ({"bands": "0,1,2"}, "0,1,2"),
        ({"bands": (1, 2.5, 3)}, "2.5"),
        ({"bands": None, "alpha": "black"}, "black"),
        ({"alpha": None}, "None"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        ReadingSettings(**settings)
