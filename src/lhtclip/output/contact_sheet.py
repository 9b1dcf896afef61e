"""Many small images on one sheet: a row of panels for each image, captions above."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont

_PAPER, _INK = (255, 255, 255), (32, 33, 36)


def contact_sheet(
    rows: Sequence[Mapping[str, Image.Image]], *, columns: int = 2, height: int = 120, gap: int = 6
) -> Image.Image:
    """Lay rows of panels out under one line of captions.

    Args:
        rows: At least one; each has the same captions. A row's panels share one size.
        columns: How many rows stand next to each other, read from left to right.
        height: Height in pixels that every panel is scaled to.
        gap: Pixels between panels; four times as many separate the columns.
    """
    captions = list(rows[0])
    columns = min(columns, len(rows))
    panels = [[_scaled(row[caption], height) for caption in captions] for row in rows]
    cell = max(panel.width for row in panels for panel in row) + gap
    stride = cell * len(captions) + 3 * gap
    size = max(11, height // 8)
    top, lines = 2 * size, -(-len(rows) // columns)
    sheet = Image.new(
        "RGB", (columns * stride - 4 * gap, top + lines * (height + gap) - gap), _PAPER
    )
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=size)
    for column in range(columns):
        for number, caption in enumerate(captions):
            middle = column * stride + number * cell + (cell - gap) / 2
            draw.text((middle, top / 2), caption, fill=_INK, font=font, anchor="mm")
    for number, row in enumerate(panels):
        line, column = divmod(number, columns)
        for place, panel in enumerate(row):
            left = column * stride + place * cell + (cell - gap - panel.width) // 2
            sheet.paste(panel, (left, top + line * (height + gap)))
    return sheet


def _scaled(panel: Image.Image, height: int) -> Image.Image:
    return panel.resize((max(1, round(panel.width * height / panel.height)), height))
