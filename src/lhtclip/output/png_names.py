"""Class names inside a label PNG, in a text chunk that other programs ignore.

The chunk is iTXt (PNG specification, 11.3.3.4), uncompressed UTF-8, under the keyword "lhtclip".
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from lhtclip.files.json_files import parse_json
from lhtclip.image.opening import open_picture

_KEYWORD = "lhtclip"
_AFTER_HEADER = 33  # bytes: the signature, and the chunk IHDR


@dataclass(frozen=True, slots=True)
class Meaning:
    """The meaning of the values of a label PNG.

    Attributes:
        names: The classes in the order of their indices.
        background: Index of the class "none of the others", if there is one.
        first_index: Value of the first class, 0 or 1; with 1, the value 0 means "ignored".
    """

    names: tuple[str, ...]
    background: int | None = None
    first_index: int = 0


def with_names(
    png: bytes, names: tuple[str, ...], *, background: int | None = None, first_index: int = 0
) -> bytes:
    """Insert class names, in the order of their indices, into a PNG file."""
    content = asdict(Meaning(names, background, first_index))
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    body = b"iTXt" + _KEYWORD.encode() + b"\0\0\0\0\0" + text.encode()
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return png[:_AFTER_HEADER] + chunk + png[_AFTER_HEADER:]


def names_in(source: str | Path | bytes) -> Meaning | None:
    """Read the class names that `with_names` inserted; None if there are none.

    Raises:
        InputError: The file is missing, broken or not a PNG.
    """
    with open_picture(source, formats=("PNG",)) as picture:
        text = picture.info.get(_KEYWORD)
    try:
        content: Any = parse_json(str(text))
        names, background, first = (content[field] for field in Meaning.__slots__)
    except (ValueError, KeyError, TypeError):
        return None
    sound = isinstance(names, list) and all(isinstance(name, str) for name in cast(Any, names))
    if not sound or first not in (0, 1) or not isinstance(background, int | None):
        return None
    return Meaning(tuple(cast("list[str]", names)), background, first)
