"""Names in a legend, in letters that its font has; different names stay different."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import TypeAlias

from PIL import ImageFont
from PIL.ImageFont import FreeTypeFont

from lhtclip.errors import InputError, reason_of
from lhtclip.files.paths import as_path
from lhtclip.files.regular_files import open_regular

Font: TypeAlias = FreeTypeFont | ImageFont.ImageFont

_SPELLED = {  # letters that no decomposition turns into ASCII
    **{"ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O"},
    **{"ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th"},
    **{"ı": "i", "’": "'", "‘": "'", "–": "-", "—": "-"},  # noqa: RUF001
}
_LONGEST = 48  # letters; a legend of longer names would be wider than its image
_NO_LETTER = "\U0010ffff"  # drawn as what a font has in place of letters that it lacks


def open_font(path: str | Path | None, size: int) -> Font:
    """Open a font file, or Pillow's own font, which has ASCII only.

    Raises:
        InputError: The file cannot be read.
    """
    if path is None:
        return ImageFont.load_default(size=size)
    path = as_path("font", path)
    try:
        open_regular(path).close()
        return ImageFont.truetype(str(path), size)
    except (OSError, ValueError) as error:
        raise InputError(
            f"Cannot read the font {path}: {reason_of(error)}; give a .ttf or .otf file."
        ) from error


def legend_names(indices: Sequence[int], names: Sequence[str], font: Font) -> list[str]:
    """Write names; one that loses a letter, or is like another, shows its index too.

    Args:
        indices: The classes to write.
        names: Names of all classes.
        font: What they are written in.
    """
    has = _letters_of(font, [names[index] for index in indices])
    written = {index: _written(names[index], has) for index in indices}
    texts = {
        index: text if whole else f"{text} (class {index})" if text else f"class {index}"
        for index, (text, whole) in written.items()
    }
    while alike := _alike(texts):
        texts |= {index: f"{texts[index]} (class {index})" for index in alike}
    return list(texts.values())


def lost_names(names: Sequence[str], font: Font) -> list[str]:
    """Return the names that lose letters which no others can stand for."""
    has = _letters_of(font, names)
    return [name for name in names if not _is_whole(name, has)]


def _alike(texts: Mapping[int, str]) -> list[int]:
    """Return the indices of texts that look like another."""
    looks = {index: unicodedata.normalize("NFC", text) for index, text in texts.items()}
    counts = Counter(looks.values())
    return [index for index, look in looks.items() if counts[look] > 1]


def _written(name: str, has: Set[str]) -> tuple[str, bool]:
    """Return a name in the given letters, and whether it is all there."""
    text = "".join(_spelled(letter, has) for letter in " ".join(name.split())).strip()
    if len(text) > _LONGEST:
        return text[: _LONGEST - 3].rstrip() + "...", False
    return text, _is_whole(name, has)


def _is_whole(name: str, has: Set[str]) -> bool:
    letters = (letter for letter in name if not (letter.isspace() or unicodedata.combining(letter)))
    return all(_spelled(letter, has) for letter in letters)


def _spelled(letter: str, has: Set[str]) -> str:
    """Return a letter, its spelling in other letters, or nothing."""
    if letter in has:
        return letter
    return "".join(each for each in _parts(letter) if each in has)


def _parts(letter: str) -> str:
    return unicodedata.normalize("NFKD", _SPELLED.get(letter, letter))


def _letters_of(font: Font, names: Sequence[str]) -> Set[str]:
    """Return those letters of names, and of their spellings, that a font can draw."""
    letters = {each for letter in set("".join(names)) for each in (letter, *_parts(letter))}
    missing = _drawn(font, _NO_LETTER)
    return {
        letter
        for letter in letters
        if letter.isprintable() and (letter.isascii() or _drawn(font, letter) != missing)
    }


def _drawn(font: Font, letter: str) -> bytes:
    """Return the pixels of a letter; none for the font of a Pillow without FreeType."""
    if isinstance(font, ImageFont.ImageFont):
        return b""
    return bytes(font.getmask(letter))  # pyright: ignore[reportArgumentType]
