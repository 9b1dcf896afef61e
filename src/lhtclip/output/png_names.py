"""Class names inside a label PNG: a text chunk that other programs pass over.

The chunk is iTXt (PNG specification, 11.3.3.4), uncompressed UTF-8, under the keyword "lhtclip".
"""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any, cast

from lhtclip.image.opening import open_picture

_KEYWORD = "lhtclip"
_AFTER_HEADER = 33  # bytes: the signature, and the chunk IHDR


def with_names(png: bytes, names: tuple[str, ...], *, background: int | None = None) -> bytes:
    """Put class names, in the order of their indices, into a PNG file."""
    content = {"names": names, "background": background}
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    body = b"iTXt" + _KEYWORD.encode() + b"\0\0\0\0\0" + text.encode()
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return png[:_AFTER_HEADER] + chunk + png[_AFTER_HEADER:]


def names_in(source: str | Path | bytes) -> tuple[tuple[str, ...], int | None] | None:
    """Read class names and the background's index from a PNG file; None where there are none.

    Raises:
        InputError: The file is missing, broken or no PNG.
    """
    with open_picture(source, formats=("PNG",)) as picture:
        text = picture.info.get(_KEYWORD)
    if not isinstance(text, str):
        return None
    try:
        content = json.loads(text)
        names, background = content["names"], content["background"]
    except (ValueError, KeyError, TypeError):
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in cast(Any, names)):
        return None
    return tuple(cast("list[str]", names)), background if isinstance(background, int) else None
