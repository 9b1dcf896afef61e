"""Classes as users give them, a string, a list or a dict, to names and prompts."""

from __future__ import annotations

import re
import reprlib
import unicodedata
from collections.abc import Mapping, Sequence
from typing import TypeAlias, cast

from lhtclip.errors import InputError, is_list

_NO_TEXT = ("Cc", "Cs")  # control characters, which XML cannot hold; undecodable bytes
_LONGEST = 10_000  # characters of a prompt
# Characters that nobody sees: soft hyphens, breaks without a width, marks of direction.
_UNSEEN = dict.fromkeys(
    (0xAD, 0x200B, 0x2060, 0xFEFF, *range(0x200E, 0x2010), *range(0x202A, 0x202F))
)

_WRAPPED = re.compile(r"""^(\[.*\]|\{.*\}|\(.*\)|(["']).*\2)$""")
_FILE = re.compile(r"^[^,|]+\.(txt|names|json|ya?ml|csv|tsv|pbtxt)$", re.IGNORECASE)

Classes: TypeAlias = str | Sequence[str | Sequence[str]] | Mapping[str, str | Sequence[str]]

_HOW = (
    "Give classes as a list such as ['car', 'road', ['person', 'rider']], "
    "a dict of synonyms such as {'person': ['man', 'rider']}, or a string 'car, road, person|rider'"
)


def parse_classes(classes: Classes) -> list[tuple[str, tuple[str, ...]]]:
    """Read classes in any of their forms as (name, prompts).

    A list has one class per element: a string, or a list of prompts of which the first is the name.
    In a dict, the key is the name and its values are the prompts; without values, the key is the
    prompt. A single string has commas between classes. In any string, '|' separates prompts. Runs
    of white space become one space; a prompt repeated within its class counts once.

    Raises:
        InputError: There is no class, an empty name, or something that is not text.
    """
    given = cast("object", classes)
    if isinstance(given, str):
        _check_line(given)
        parts = given.split(",") if given.strip() else []
        entries = [
            _from_words(part, f"class {number} of {brief(given)}")
            for number, part in enumerate(parts, start=1)
        ]
    elif isinstance(given, Mapping):
        items = cast("Mapping[object, object]", given).items()
        entries = [_from_item(name, words) for name, words in items]
    elif is_list(given):
        entries = [
            _from_words(words, f"class {number}, {brief(words)}")
            for number, words in enumerate(cast("Sequence[object]", given), start=1)
        ]
    else:
        raise InputError(f"Classes cannot be read from {brief(given)}. {_HOW}.")
    if not entries:
        raise InputError(f"No class was given. {_HOW}.")
    return entries


def prompts_of(given: object, where: str) -> tuple[str, ...]:
    """Return the prompts of one string with '|', or of a list of such strings, without repeats."""
    parts = cast("Sequence[object]", given) if is_list(given) else [given]
    if not parts:
        raise InputError(f"Empty class or prompt in {where}: remove it or fill it in.")
    words: dict[str, str] = {}
    for part in parts:
        if not isinstance(part, str):
            raise InputError(f"{brief(part)} in {where} is not text (str). {_HOW}.")
        for piece in part.split("|"):
            word = " ".join(piece.translate(_UNSEEN).split())
            if not word:
                raise InputError(f"Empty class or prompt in {where}: remove it or fill it in.")
            if ";" in word:
                raise InputError(
                    f"Semicolon in {where}: write ',' between classes, and '|' between the prompts "
                    "of one."
                )
            if len(word) > _LONGEST:
                raise InputError(
                    f"A prompt of {len(word)} characters in {where}: at most {_LONGEST} are "
                    "allowed, and models read about 300. Put one class on a line."
                )
            if any(unicodedata.category(character) in _NO_TEXT for character in word):
                raise InputError(
                    f"Control characters or bytes that are not text in {where}: type it again."
                )
            words.setdefault(folded(word), word)
    return tuple(words.values())


def folded(word: str) -> str:
    """Return what two spellings of one word share; the tokenizer ignores case as well."""
    return unicodedata.normalize("NFC", word).casefold()


def brief(given: object) -> str:
    """Write out what was given, not too long."""
    return reprlib.repr(given)


def _check_line(given: str) -> None:
    """Refuse a string of classes that was surely meant otherwise than it would be read."""
    text = given.strip()
    if "\n" in text or "\t" in text:
        raise InputError(
            f"The classes {brief(text)} have line breaks or tabs: write ',' between classes, or "
            "give a file of them (--classes-file, in Python read_classes_file)."
        )
    if _WRAPPED.match(text):
        raise InputError(
            f"The classes {brief(text)} have brackets or quotes around them: leave those out, as "
            "in 'car, road'."
        )
    if _FILE.match(text):
        raise InputError(
            f"{brief(text)} looks like a file: give it as --classes-file, in Python "
            "read_classes_file(...)."
        )


def _from_words(words: object, where: str) -> tuple[str, tuple[str, ...]]:
    queries = prompts_of(words, where)
    return queries[0], queries


def _from_item(name: object, words: object) -> tuple[str, tuple[str, ...]]:
    shown = f"{brief(name)}: {brief(words)}"
    first, *others = prompts_of(name, shown)
    if others or not isinstance(name, str):
        raise InputError(
            f"The dict key {brief(name)} is not a single name: put prompts into the list."
        )
    if words is None or ((is_list(words) or isinstance(words, str)) and not words):
        return first, (first,)
    return first, prompts_of(words, shown)
