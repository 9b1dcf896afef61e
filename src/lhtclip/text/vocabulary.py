"""Classes, their prompts and the background, checked and in order."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from numbers import Real
from typing import cast

from lhtclip.errors import InputError, is_list, reason_of, unknown
from lhtclip.files.fields import check_fields
from lhtclip.files.paths import as_path
from lhtclip.files.regular_files import read_regular
from lhtclip.text.background import AUTO, advise, background_words, say_once
from lhtclip.text.class_lists import plain_lines
from lhtclip.text.parsing import Classes, brief, folded, parse_classes, prompts_of

BACKGROUND = "background"
_MOST_BYTES = 64 << 20  # of a classes file
MOST_CLASSES = 65534  # labels are at most uint16, and 65535 means "ignored"

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


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Classes and their prompts.

    Attributes:
        names: One name per class; a class's index is its label.
        queries: Every prompt to encode, those of a class next to each other.
        class_of_query: Class index per prompt, ascending.
        background: Label of the background, or None. It is 0, except in label files made elsewhere.
            A background that exists only because of a threshold has no prompt.
    """

    names: tuple[str, ...]
    queries: tuple[str, ...]
    class_of_query: tuple[int, ...]
    background: int | None

    def __post_init__(self) -> None:
        """Refuse what does not fit together.

        Raises:
            InputError: A value is of another type, or a prompt of no class.
        """
        check_fields(self)
        owners, labels = self.class_of_query, range(len(self.names))
        if (
            len(owners) != len(self.queries)
            or list(owners) != sorted(owners)
            or not all(owner in labels for owner in owners)
            or not (self.background is None or self.background in labels)
        ):
            raise InputError(
                "A vocabulary needs a class index for each prompt, ascending, and None or one of "
                "the classes as its background; Vocabulary.of makes one."
            )

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
        if not allow_shared_queries:  # published lists are taken as they are
            _advise(entries)
        _check_entries(entries, allow_shared_queries=allow_shared_queries)
        _advise_of_underscores(entries)
        return cls(
            names=tuple(name for name, _ in entries),
            queries=tuple(query for _, queries in entries for query in queries),
            class_of_query=tuple(i for i, (_, queries) in enumerate(entries) for _ in queries),
            background=0 if has_background else None,
        )


def read_classes_file(
    path: str | os.PathLike[str], *, what: str = "classes file"
) -> list[tuple[str, ...]]:
    """Read a UTF-8 text file: one class per line, '|' between its prompts, the first is the name.

    Skips empty lines and lines that start with '#'. Reads lists of other programs too, as
    `class_lists` does. "-" stands for standard input.

    Args:
        path: The file.
        what: What errors call it.

    Raises:
        InputError: The file cannot be read, has no class, or a line has a comma, which most likely
            was meant to separate classes or prompts.
    """
    path = as_path(f"The {what}", path)
    try:
        content = (
            sys.stdin.buffer.read(_MOST_BYTES)
            if str(path) == "-"
            else read_regular(path, most=_MOST_BYTES)
        )
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"Cannot read the {what} {path}: {reason_of(error)}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"The {what} {path} is not UTF-8 text: save it as UTF-8.") from error
    classes: list[tuple[str, ...]] = []
    for number, line in plain_lines(text, path):
        where = f"line {number} of {path}, {brief(line)}"
        if "," in line:
            raise InputError(
                f"Comma in {where}: write one class per line, with '|' between its prompts."
            )
        classes.append(prompts_of(line, where))
    if not classes:
        raise InputError(f"The {what} {path} has no classes. Write one class per line.")
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


def _background_words(background: object, prompts: Sequence[str]) -> tuple[str, ...]:
    if isinstance(background, str):
        if folded(background.strip()) == AUTO:
            return background_words(prompts)
        background = background.replace(",", "|")
    if is_list(background) and not background:
        raise InputError("The background has no prompt: give some, such as 'wall|floor', or None.")
    return prompts_of(background, f"background {brief(background)}")


def _advise(entries: Sequence[tuple[str, tuple[str, ...]]]) -> None:
    """Warn of a background, or of a class that is called so, which has no other words."""
    others = [prompt for name, words in entries if folded(name) != BACKGROUND for prompt in words]
    for name, words in entries:
        if folded(name) == BACKGROUND and others:
            advise(tuple(map(folded, words)), others)


def _check_threshold(threshold: object) -> None:
    real = not isinstance(threshold, bool) and isinstance(threshold, Real)
    if not (real and 0 <= cast("float", threshold) <= 1):
        raise InputError(f"The threshold must be a number from 0 to 1, not {brief(threshold)}.")


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


def _advise_of_underscores(entries: Sequence[tuple[str, tuple[str, ...]]]) -> None:
    for _, queries in entries:
        for query in queries:
            if "_" in query.strip("_"):
                plain = query.replace("_", " ").strip()
                say_once(f"CLIP reads {query!r} as words with signs between: write {plain!r}.")
                return


def _first_repeated(names: Iterable[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if folded(name) in seen:
            return name
        seen.add(folded(name))
    return None
