"""Further names for classes: from the list that comes with the package, or from a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib import resources
from pathlib import Path

from lhtclip.errors import InputError, check_kind
from lhtclip.files.paths import as_path
from lhtclip.text.parsing import folded
from lhtclip.text.vocabulary import Vocabulary, read_classes_file

COMMON = "common"
GIVEN = "given"
Aliases = Mapping[str, tuple[str, ...]]


def with_aliases(vocabulary: Vocabulary, source: str) -> Vocabulary:
    """Add further prompts to the classes of a vocabulary; none is replaced.

    Args:
        vocabulary: The classes.
        source: "common" for the list of everyday things that comes with the package, "given" to add
            nothing to the prompts that the classes have, or a file with a class and its aliases on
            each line, in the form of a classes file: "car|automobile|sedan".

    Returns:
        The vocabulary. An alias that is a prompt of any class already is left out.

    Raises:
        InputError: There is no such file, or it cannot be read or has a class twice.
    """
    check_kind("vocabulary", vocabulary, Vocabulary)
    check_kind("source", source, str, os.PathLike)
    if source == GIVEN:
        return vocabulary
    table = _common() if source == COMMON else _own(source)
    taken = {folded(query) for query in vocabulary.queries}
    queries: list[str] = []
    owners: list[int] = []
    for index, name in enumerate(vocabulary.names):
        own = [
            query
            for query, owner in zip(vocabulary.queries, vocabulary.class_of_query, strict=True)
            if owner == index
        ]
        if index != vocabulary.background:
            further = [alias for alias in table.get(folded(name), ()) if folded(alias) not in taken]
            taken.update(map(folded, further))
            own += further
        queries += own
        owners += [index] * len(own)
    return replace(vocabulary, queries=tuple(queries), class_of_query=tuple(owners))


@cache
def _common() -> Aliases:
    return _read(Path(str(resources.files("lhtclip") / "data" / "aliases.txt")))


def _own(source: str) -> Aliases:
    as_path("aliases", source)
    if not os.path.exists(source):
        raise InputError(
            f"{source!r} is not a file of aliases, nor {COMMON!r} or {GIVEN!r}: name one of these."
        )
    return _read(Path(source))


def _read(path: Path) -> Aliases:
    table: dict[str, tuple[str, ...]] = {}
    for name, *aliases in read_classes_file(path, what="file of aliases (--aliases)"):
        if folded(name) in table:
            raise InputError(f"{path} lists aliases of {name!r} twice: join the lines.")
        table[folded(name)] = tuple(aliases)
    return table
