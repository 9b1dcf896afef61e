"""Read drawings of things from Iconify's npm packages, which hold a set's SVG in one JSON file."""

from __future__ import annotations

import io
import json
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image

from lhtclip.errors import LhtClipError
from training.icon_names import icon_names
from training.words import Thing

LISTED = ("noto", "fluent-emoji-flat", "openmoji", "twemoji")
"""Sets whose `chars.json` says which code points an icon stands for."""

DRAWN_WIDTH = 192  # pixels


class ArtworkError(LhtClipError):
    """The drawings cannot be found or read."""


def draw_icon(root: Path, icon_set: str, thing: Thing) -> Image.Image | None:
    """Draw one thing; None if the set does not have it.

    Args:
        root: A folder with one folder per set, such as `@iconify-json`.
        icon_set: Name of the set.
        thing: The thing.

    Raises:
        ArtworkError: A package is missing, or resvg-py is.
    """
    content = _read(root / icon_set / "icons.json")
    known = tuple(name for listed in LISTED if (name := _unicode_name(root, listed, thing)))
    for name in icon_names(thing, known):
        parent = content.get("aliases", {}).get(name, {}).get("parent", name)
        if icon := content["icons"].get(parent):
            return draw_svg(_document(icon, content))
    return None


def draw_svg(document: str) -> Image.Image:
    """Draw an SVG document as RGBA, `DRAWN_WIDTH` pixels wide.

    Raises:
        ArtworkError: resvg-py is not installed.
    """
    try:
        import resvg_py
    except ImportError as error:
        raise ArtworkError(
            "Drawing SVG artwork needs resvg-py: pip install 'lhtclip[training]'."
        ) from error
    drawn = resvg_py.svg_to_bytes(svg_string=document, width=DRAWN_WIDTH)
    return Image.open(io.BytesIO(bytes(drawn))).convert("RGBA")


def _document(icon: dict[str, Any], content: dict[str, Any]) -> str:
    def of(key: str, otherwise: int) -> int:
        return icon.get(key, content.get(key, otherwise))

    box = f"{of('left', 0)} {of('top', 0)} {of('width', 16)} {of('height', 16)}"
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{box}" width="{of("width", 16)}" height="{of("height", 16)}">'
        f"{icon['body']}</svg>"
    )


def _unicode_name(root: Path, icon_set: str, thing: Thing) -> str | None:
    names = _read(root / icon_set / "chars.json")
    return names.get(thing.code.removesuffix("-fe0f")) or names.get(thing.code)


@cache
def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ArtworkError(
            f"Cannot read {path}: install the packages of training/README.md with "
            "`npm install --ignore-scripts` and give the path of their node_modules folder."
        ) from error
