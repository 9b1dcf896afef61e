"""Label maps, masks and scores as files."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from lhtclip.errors import InputError
from lhtclip.output.palette import palette
from lhtclip.output.png import decode_labels, encode_binary, encode_bits, encode_labels
from lhtclip.output.scores import encode_scores

SHAPES = arrays.array_shapes(min_dims=2, max_dims=2, max_side=20)


def png(picture: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format="PNG", **options)
    return file.getvalue()


def opened(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


@given(arrays.arrays(st.sampled_from([np.uint8, np.uint16]), SHAPES), st.integers(0, 256))
def test_labels_round_trip(labels: np.ndarray, count: int) -> None:
    decoded = decode_labels(encode_labels(labels, palette(count)))
    assert decoded.dtype == labels.dtype
    np.testing.assert_array_equal(decoded, labels)


@given(labels=arrays.arrays(np.uint8, SHAPES))
def test_views_round_trip(labels: np.ndarray) -> None:
    np.testing.assert_array_equal(decode_labels(encode_labels(labels.T[::-1])), labels.T[::-1])


def test_label_files_have_eight_bit_indices_and_the_given_colours() -> None:
    labels = np.array([[0, 1, 2, 255]], np.uint8)
    given_colours = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    data = encode_labels(labels, given_colours)
    assert data[24] == 8  # bit depth in the header: every reader gets plain bytes
    picture = opened(data)
    assert picture.mode == "P"
    seen = np.asarray(picture.convert("RGB"))[0].tolist()
    assert seen == [[1, 2, 3], [4, 5, 6], palette(3)[2].tolist(), [255, 255, 255]]


def test_256_given_colours_include_the_last() -> None:
    data = encode_labels(np.array([[255]], np.uint8), palette(256))
    assert np.asarray(opened(data).convert("RGB"))[0, 0].tolist() == palette(256)[255].tolist()


def test_wide_labels_are_sixteen_bit_greyscale() -> None:
    data = encode_labels(np.array([[0, 256, 65535]], np.uint16))
    assert data[24] == 16
    assert decode_labels(data).tolist() == [[0, 256, 65535]]


@pytest.mark.parametrize(
    "labels",
    [
        np.zeros((2, 2), np.int64),
        np.zeros((2, 2), bool),
        np.zeros((2, 2, 1), np.uint8),
        np.zeros((0, 2), np.uint8),
    ],
)
def test_other_labels_are_refused(labels: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"Labels must be .* uint8 or uint16"):
        encode_labels(labels)


def test_ground_truth_of_other_tools_is_read(tmp_path: Path) -> None:
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    grey, few = tmp_path / "grey.png", tmp_path / "few.png"
    Image.fromarray(labels).save(grey)
    palette_picture = Image.fromarray(labels)
    palette_picture.putpalette([0, 0, 0] * 12)
    palette_picture.save(few)  # twelve colours: stored with four bits a pixel
    for path in (grey, str(few)):
        np.testing.assert_array_equal(decode_labels(path), labels)


def grey_png(values: Sequence[int], *, bits: int) -> bytes:
    """Write a row of values as a greyscale PNG of few bits, which Pillow cannot."""
    row = int("".join(f"{value:0{bits}b}" for value in values), 2)
    width = len(values)
    unused = -width * bits % 8
    packed = (row << unused).to_bytes((width * bits + unused) // 8, "big")

    def chunk(content: bytes) -> bytes:
        check = zlib.crc32(content).to_bytes(4, "big")
        return (len(content) - 4).to_bytes(4, "big") + content + check

    size = struct.pack(">IIBBBBB", width, 1, bits, 0, 0, 0, 0)
    body = chunk(b"IHDR" + size) + chunk(b"IDAT" + zlib.compress(b"\0" + packed)) + chunk(b"IEND")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_few_bits_hold_labels_as_they_are(bits: int) -> None:
    labels = list(range(2**bits))
    assert decode_labels(grey_png(labels, bits=bits)).tolist() == [labels]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (png(Image.new("RGB", (2, 2))), "RGB colours"),
        (b"junk", "PNG"),
        (
            encode_labels(np.random.default_rng(0).integers(0, 9, (40, 40)).astype(np.uint8))[
                :-300
            ],
            "damaged",
        ),
    ],
)
def test_other_label_files_are_refused(data: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words):
        decode_labels(data)


def test_missing_label_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.png.*No such file"):
        decode_labels(tmp_path / "gone.png")


@given(arrays.arrays(bool, SHAPES))
def test_masks_are_0_and_255(mask: np.ndarray) -> None:
    picture = opened(encode_binary(mask))
    assert picture.mode == "L"
    np.testing.assert_array_equal(np.asarray(picture), np.where(mask, 255, 0))
    picture = opened(encode_bits(mask))
    assert picture.mode == "1"
    np.testing.assert_array_equal(np.asarray(picture), mask)


def test_masks_of_other_types_are_refused() -> None:
    with pytest.raises(InputError, match="bool, got uint8"):
        encode_binary(np.zeros((2, 2), np.uint8))  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="bool, got uint8"):
        encode_bits(np.zeros((2, 2), np.uint8))  # pyright: ignore[reportArgumentType]


SCORES = arrays.arrays(
    st.sampled_from([np.float16, np.float32, np.float64]),
    arrays.array_shapes(min_dims=2, max_dims=3, max_side=8),
    elements=st.floats(0, 1, width=16),
)


@given(SCORES)
def test_scores_round_trip(scores: np.ndarray) -> None:
    with np.load(io.BytesIO(encode_scores(scores))) as file:
        np.testing.assert_array_equal(file["scores"], scores)


def test_scores_lose_less_than_half_a_thousandth(tmp_path: Path) -> None:
    scores = np.random.default_rng(0).random((30, 40), dtype=np.float32)
    path = tmp_path / "scores.npz"
    path.write_bytes(encode_scores(scores))
    assert path.read_bytes() == encode_scores(scores)
    with np.load(path) as file:  # what the documentation promises
        assert file["scores"].dtype == np.float16
        np.testing.assert_allclose(file["scores"], scores, rtol=2**-11, atol=6e-8)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e5])
def test_scores_that_half_precision_cannot_hold_are_refused(value: float) -> None:
    with pytest.raises(InputError, match="65504"):
        encode_scores(np.array([[value]]))


def test_whole_numbers_are_not_scores() -> None:
    with pytest.raises(InputError, match="int64"):
        encode_scores(np.zeros((2, 2), np.int64))  # pyright: ignore[reportArgumentType]
