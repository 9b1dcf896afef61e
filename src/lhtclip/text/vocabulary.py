"""Classes, their prompts and the background, checked and in order."""

from __future__ import annotations

import reprlib
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from numbers import Real
from pathlib import Path
from typing import TypeAlias, cast

from lhtclip.errors import InputError, unknown
from lhtclip.files.regular_files import read_regular
from lhtclip.text.background import AUTO, advise, background_words
from lhtclip.text.class_lists import plain_lines

BACKGROUND = "background"
_MOST_BYTES = 64 << 20  # of a classes file
_NO_TEXT = ("Cc", "Cs")  # control characters, which XML cannot hold; undecodable bytes
_LONGEST = 10_000  # characters of a prompt
MOST_CLASSES = 65534  # labels are at most uint16, and 65535 means "ignored"

Classes: TypeAlias = str | Sequence[str | Sequence[str]] | Mapping[str, str | Sequence[str]]

# Lists of the published evaluations: SCLIP's under plain names, others' after a dot.
SHIPPED_CLASS_LISTS: tuple[str, ...] = (
    "voc21",
    "voc21.clearclip",
    "voc21.proxyclip",
    "voc20",
    "voc20.clearclip",
    "voc20.proxyclip",
    "context60",
    "context59",
    "coco_object",
    "coco_object.clearclip",
    "coco_object.proxyclip",
    "coco_stuff171",
    "cityscapes",
    "ade20k",
)

_HOW = (
    "Give classes as a list such as ['car', 'road', ['person', 'rider']], "
    "a dict of synonyms such as {'person': ['man', 'rider']}, or a string 'car, road, person|rider'"
)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Classes and their prompts.

    Attributes:
        names: One name per class; a class's index is its label.
        queries: Every prompt to encode, those of a class next to each other.
        class_of_query: Class index per prompt, ascending.
        background: Label of the background (always 0), or None. A background that exists only
            because of a threshold has no prompt.
    """

    names: tuple[str, ...]
    queries: tuple[str, ...]
    class_of_query: tuple[int, ...]
    background: int | None

    @classmethod
    def of(
        cls,
        classes: Classes | Vocabulary,
        *,
        background: str | Sequence[str] | None = None,
        threshold: float = 0.0,
        allow_shared_queries: bool = False,
    ) -> Vocabulary:
        """Build the vocabulary of some classes and a background.

        Args:
            classes: As for `parse_classes`; a vocabulary is returned unchanged.
            background: Prompts of a class "background" that becomes label 0: a list, or a string
                with '|' or commas between them; "auto" chooses them (`lhtclip.text.background`).
            threshold: Lowest winning score in [0, 1] that keeps a pixel out of the background;
                above 0 there is a background even without prompts.
            allow_shared_queries: Accept a prompt in several classes, as in some published lists;
                otherwise that is an error, because only the first class could ever win.

        Raises:
            InputError: The classes cannot be used; the message says what to give instead.
        """
        _check_threshold(threshold)
        if isinstance(classes, Vocabulary):
            if background is not None:
                raise InputError("A vocabulary has its background already: leave the words out.")
            return classes
        entries = parse_classes(classes)
        has_background = background is not None or threshold > 0
        if has_background:
            if any(folded(name) == BACKGROUND for name, _ in entries):
                raise InputError(
                    "One of the classes is called 'background', and a background or a threshold is "
                    "given as well. Leave it out of the classes; it is added as label 0."
                )
            prompts = [prompt for _, words in entries for prompt in words]
            words = () if background is None else _background_words(background, prompts)
            entries.insert(0, (BACKGROUND, words))
        _check_entries(entries, allow_shared_queries=allow_shared_queries)
        return cls(
            names=tuple(name for name, _ in entries),
            queries=tuple(query for _, queries in entries for query in queries),
            class_of_query=tuple(i for i, (_, queries) in enumerate(entries) for _ in queries),
            background=0 if has_background else None,
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
        parts = given.split(",") if given.strip() else []
        entries = [
            _from_words(part, f"class {number} of {_show(given)}")
            for number, part in enumerate(parts, start=1)
        ]
    elif isinstance(given, Mapping):
        items = cast("Mapping[object, object]", given).items()
        entries = [_from_item(name, words) for name, words in items]
    elif _is_list(given):
        entries = [
            _from_words(words, f"class {number}, {_show(words)}")
            for number, words in enumerate(cast("Sequence[object]", given), start=1)
        ]
    else:
        raise InputError(f"Classes cannot be read from {_show(given)}. {_HOW}.")
    if not entries:
        raise InputError(f"No class was given. {_HOW}.")
    return entries


def read_classes_file(path: Path | str) -> list[tuple[str, ...]]:
    """Read a UTF-8 text file: one class per line, '|' between its prompts, the first is the name.

    Skips empty lines and lines that start with '#'. Reads lists of other programs too, as
    `class_lists` does. "-" stands for standard input.

    Raises:
        InputError: The file cannot be read, has no class, or a line has a comma, which most likely
            was meant to separate classes or prompts.
    """
    try:
        content = (
            sys.stdin.buffer.read(_MOST_BYTES)
            if str(path) == "-"
            else read_regular(path, most=_MOST_BYTES)
        )
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise InputError(
            f"Cannot read the classes file {path}: {error.strerror or error}."
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"The classes file {path} is not UTF-8 text: save it as UTF-8.") from error
    classes: list[tuple[str, ...]] = []
    for number, line in plain_lines(text, path):
        where = f"line {number} of {path}, {_show(line)}"
        if "," in line:
            raise InputError(
                f"Comma in {where}: write one class per line, with '|' between its prompts."
            )
        classes.append(_words(line, where))
    if not classes:
        raise InputError(f"The classes file {path} has no class. Write one class per line.")
    return classes


def shipped_classes(name: str) -> list[tuple[str, ...]]:
    """Return a class list of the published evaluations, one tuple of prompts per class.

    If the benchmark has a background, it is the first class.

    Raises:
        UnknownNameError: `name` is not in `SHIPPED_CLASS_LISTS`.
    """
    if name not in SHIPPED_CLASS_LISTS:
        raise unknown("class list", name, SHIPPED_CLASS_LISTS)
    file = resources.files("lhtclip") / "data" / "class_names" / f"{name}.txt"
    return [tuple(line.split("; ")) for line in file.read_text(encoding="utf-8").splitlines()]


def _from_words(words: object, where: str) -> tuple[str, tuple[str, ...]]:
    queries = _words(words, where)
    return queries[0], queries


def _from_item(name: object, words: object) -> tuple[str, tuple[str, ...]]:
    shown = f"{_show(name)}: {_show(words)}"
    first, *others = _words(name, shown)
    if others or not isinstance(name, str):
        raise InputError(
            f"The dict key {_show(name)} is not a single name: put prompts into the list."
        )
    if words is None or ((_is_list(words) or isinstance(words, str)) and not words):
        return first, (first,)
    return first, _words(words, shown)


def _background_words(background: object, prompts: Sequence[str]) -> tuple[str, ...]:
    if isinstance(background, str):
        if background == AUTO:
            return background_words(prompts)
        background = background.replace(",", "|")
    if _is_list(background) and not background:
        raise InputError("The background has no prompt: give some, such as 'wall|floor', or None.")
    words = _words(background, f"background {_show(background)}")
    advise(words, prompts)
    return words


def _words(given: object, where: str) -> tuple[str, ...]:
    """Return the prompts of one string with '|', or of a list of such strings, without repeats."""
    parts = cast("Sequence[object]", given) if _is_list(given) else [given]
    if not parts:
        raise InputError(f"Empty class or prompt in {where}: remove it or fill it in.")
    words: dict[str, str] = {}
    for part in parts:
        if not isinstance(part, str):
            raise InputError(f"{_show(part)} in {where} is not text (str). {_HOW}.")
        for piece in part.split("|"):
            word = " ".join(piece.split())
            if not word:
                raise InputError(f"Empty class or prompt in {where}: remove it or fill it in.")
            if len(word) > _LONGEST:
                raise InputError(
                    f"A prompt of {len(word)} characters in {where}: at most {_LONGEST} are taken, "
                    "and models read about 300. Put one class on a line."
                )
            if any(unicodedata.category(character) in _NO_TEXT for character in word):
                raise InputError(
                    f"Control characters or bytes that are not text in {where}: type it again."
                )
            words.setdefault(folded(word), word)
    return tuple(words.values())


def _check_threshold(threshold: object) -> None:
    real = not isinstance(threshold, bool) and isinstance(threshold, Real)
    if not (real and 0 <= cast("float", threshold) <= 1):
        raise InputError(f"The threshold must be a number from 0 to 1, not {_show(threshold)}.")


def _check_entries(
    entries: Sequence[tuple[str, tuple[str, ...]]], *, allow_shared_queries: bool
) -> None:
    if len(entries) > MOST_CLASSES:
        raise InputError(f"{len(entries)} classes were given; at most {MOST_CLASSES} are possible.")
    repeated = _first_repeated(name for name, _ in entries)
    if repeated is not None:
        raise InputError(
            f"The class {repeated!r} was given twice (case and spacing do not count): "
            "remove one, or join them with '|' as prompts of one class."
        )
    if allow_shared_queries:
        return
    owners: dict[str, str] = {}
    for name, queries in entries:
        for query in queries:
            owner = owners.setdefault(folded(query), name)
            if owner != name:
                raise InputError(
                    f"{query!r} is a prompt of both {owner!r} and {name!r}: give it to one class "
                    "only."
                )


def _first_repeated(names: Iterable[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if folded(name) in seen:
            return name
        seen.add(folded(name))
    return None


def _is_list(given: object) -> bool:
    return isinstance(given, Sequence) and not isinstance(given, str | bytes | bytearray)


def folded(word: str) -> str:
    """Return what two spellings of one word share; the tokenizer ignores case as well."""
    return unicodedata.normalize("NFC", word).casefold()


def _show(given: object) -> str:
    return reprlib.repr(given)
