from __future__ import annotations

from collections.abc import Iterator

import pytest

from lhtclip.errors import InputError
from lhtclip.segmenter.encoding import one_ahead


def test_an_item_comes_once_the_next_one_is_made() -> None:
    made: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(4):
            made.append(number)
            yield number

    assert [(number, len(made)) for number in one_ahead(numbers())] == [
        (0, 2), (1, 3), (2, 4), (3, 4),
    ]  # fmt: skip
    assert list(one_ahead([])) == []


def test_an_error_comes_behind_the_items_before_it() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise InputError("bad")

    found = one_ahead(broken())
    assert next(found) == 1
    with pytest.raises(InputError, match="bad"):
        next(found)
