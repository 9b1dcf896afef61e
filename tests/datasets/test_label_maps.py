from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from lhtclip.datasets.label_maps import (
    as_they_are,
    read_ids,
    read_truth,
    to_classes,
    zero_ignored,
)
from lhtclip.errors import InputError

FILE = Path("map.png")


def reduce_zero_label(ids: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The rule of the usual toolbox, step by step; 255 is what it ignores."""
    ids = ids.copy()
    ids[ids == 0] = 255
    ids = ids - 1
    ids[ids == 254] = 255
    return ids


def test_zero_ignored_is_the_usual_rule() -> None:
    ids = np.array([[0, 1, 2], [20, 255, 0]], dtype=np.uint8)
    truth = to_classes(ids, zero_ignored(20, ignored=255), path=FILE, expected="")
    np.testing.assert_array_equal(truth, [[255, 0, 1], [19, 255, 255]])
    np.testing.assert_array_equal(truth, reduce_zero_label(ids))


@given(
    st.lists(st.integers(0, 70), min_size=1, max_size=30),
    st.dictionaries(st.integers(0, 70), st.none() | st.integers(0, 300)),
)
def test_each_id_becomes_its_class(ids: list[int], classes: dict[int, int | None]) -> None:
    array = np.array([ids], dtype=np.uint16)
    strange = sorted({number for number in ids if number not in classes})
    if strange:
        message = ", ".join(map(str, strange[:5]))
        with pytest.raises(InputError, match=rf"map\.png has .* cannot occur: {message}"):
            to_classes(array, classes, path=FILE, expected="others")
    else:
        truth = to_classes(array, classes, path=FILE, expected="others")
        large = any(index is not None and index > 254 for index in classes.values())
        ignored = 65535 if large else 255
        assert truth.dtype == (np.uint16 if large else np.uint8)
        expected = [ignored if classes[number] is None else classes[number] for number in ids]
        assert truth.tolist() == [expected]


def test_a_few_strange_ids_are_named() -> None:
    ids = np.arange(30, dtype=np.uint8)[None]
    message = r"cannot occur: 5, 6, 7, 8, 9 and 20 more; expected 0 to 4\."
    with pytest.raises(InputError, match=message):
        to_classes(ids, as_they_are(5), path=FILE, expected="0 to 4")


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (Image.fromarray(np.array([[0, 7], [255, 3]], np.uint8)), [[0, 7], [255, 3]]),
        (Image.fromarray(np.array([[0, 700]], np.uint16)), [[0, 700]]),
        (Image.fromarray(np.array([[False, True]])), [[0, 1]]),
    ],
)
def test_what_can_hold_ids(tmp_path: Path, picture: Image.Image, expected: list[list[int]]) -> None:
    picture.save(tmp_path / "map.png")
    np.testing.assert_array_equal(read_ids(tmp_path / "map.png"), expected)


def test_a_palette_is_not_looked_up(tmp_path: Path) -> None:
    picture = Image.fromarray(np.array([[0, 7, 2]], np.uint8))
    picture.putpalette(bytes(reversed(range(256))) * 3)
    picture.save(tmp_path / "map.png")
    np.testing.assert_array_equal(read_ids(tmp_path / "map.png"), [[0, 7, 2]])


def test_what_cannot_hold_ids(tmp_path: Path) -> None:
    colours, lossy, nothing = (tmp_path / name for name in ("a.png", "b.png", "c.png"))
    Image.new("RGB", (2, 2)).save(colours)
    Image.new("L", (2, 2)).save(lossy, format="JPEG")
    with pytest.raises(InputError, match=r"a\.png has RGB colours; a label map is"):
        read_truth(colours, {0: 0}, "0")
    with pytest.raises(InputError, match=r"b\.png is not an image that can be read"):
        read_truth(lossy, {0: 0}, "0")
    with pytest.raises(InputError, match=r"Cannot open .*c\.png"):
        read_truth(nothing, {0: 0}, "0")
