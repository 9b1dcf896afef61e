import re

import pytest

from training.materials import MATERIAL_PAINTERS
from training.words import MATERIALS, THINGS, Thing


def test_there_are_at_least_two_hundred_things() -> None:
    assert 220 <= len(THINGS) <= 250


def test_no_word_stands_for_two_things() -> None:
    words = [word for entry in (*THINGS, *MATERIALS) for word in (entry.name, *entry.synonyms)]
    assert sorted(words) == sorted(set(words))


@pytest.mark.parametrize("entry", [*THINGS, *MATERIALS], ids=lambda entry: entry.name)
def test_words_are_plain_lower_case(entry: Thing) -> None:
    for word in (entry.name, *entry.synonyms):
        assert re.fullmatch(r"[a-z]+([ -][a-z]+)*", word)


def test_codes_are_unique_lower_case_hexadecimal() -> None:
    codes = [thing.code for thing in THINGS]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[0-9a-f]{4,5}(-[0-9a-f]{4,5})*", code) for code in codes)


def test_every_material_has_a_painter() -> None:
    assert [material.name for material in MATERIALS] == list(MATERIAL_PAINTERS)
