"""Pictures side by side on white paper, each under its caption."""

from __future__ import annotations

from collections.abc import Mapping

from PIL import Image, ImageDraw, ImageFont

_PAPER, _INK = (255, 255, 255), (32, 33, 36)


def side_by_side(
    panels: Mapping[str, Image.Image], *, height: int = 320, gap: int = 12
) -> Image.Image:
    """Lay pictures out in a row.

    Args:
        panels: Pictures by caption.
        height: Pixels that every picture is scaled to; the widths follow.
        gap: Pixels between pictures.
    """
    size = round(height / 13)
    font = ImageFont.load_default(size=size)
    top = round(1.9 * size)
    scaled = {
        caption: picture.resize((max(1, round(picture.width * height / picture.height)), height))
        for caption, picture in panels.items()
    }
    width = sum(picture.width + gap for picture in scaled.values()) - gap
    sheet = Image.new("RGB", (width, top + height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    left = 0
    for caption, picture in scaled.items():
        sheet.paste(picture, (left, top))
        middle = (left + picture.width / 2, top / 2)
        draw.text(middle, caption, fill=_INK, font=font, anchor="mm")
        left += picture.width + gap
    return sheet
