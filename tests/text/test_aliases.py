"""Aliases are added to classes, never in place of a prompt, and never to two classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from lhtclip import Vocabulary
from lhtclip.errors import InputError
from lhtclip.text.aliases import with_aliases
from lhtclip.text.languages import warning_about
from lhtclip.text.vocabulary import SHIPPED_CLASS_LISTS, shipped_classes


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "aliases.txt"
    path.write_text("# mine\nCar|automobile|van\ndog|puppy|DOG\nplane|jet\n")
    vocabulary = Vocabulary.of("sky, car|auto, van, dog", background="wall|car park")
    given = with_aliases(vocabulary, str(path))
    assert given.names == vocabulary.names
    assert given.queries == (
        *("wall", "car park", "sky", "car", "auto", "automobile", "van", "dog", "puppy"),
    )
    assert given.class_of_query == (0, 0, 1, 2, 2, 2, 3, 4, 4)
    assert given.background == 0
    path.write_text("car|auto\nCAR|van\n")
    with pytest.raises(InputError, match="aliases of 'CAR' twice"):
        with_aliases(vocabulary, str(path))
    with pytest.raises(InputError, match=r"'nowhere\.txt' is not a file of aliases, nor 'common'"):
        with_aliases(vocabulary, "nowhere.txt")


def test_given_prompts_are_left_alone() -> None:
    vocabulary = Vocabulary.of("car|auto, dog")
    assert with_aliases(vocabulary, "given") is vocabulary


@pytest.mark.parametrize("name", SHIPPED_CLASS_LISTS)
def test_common_aliases_fit_published_lists(name: str) -> None:
    vocabulary = Vocabulary.of(shipped_classes(name), allow_shared_queries=True)
    given = with_aliases(vocabulary, "common")
    assert given.names == vocabulary.names
    assert sorted(set(vocabulary.queries) - set(given.queries)) == []
    added = len(given.queries) - len(vocabulary.queries)
    assert added >= len(vocabulary.names) / 2
    fresh = [query for query in given.queries if query not in vocabulary.queries]
    assert len(set(fresh)) == added
    assert warning_about(fresh) is None
