import numpy as np
from PIL import Image

from lhtclip.output.contact_sheet import contact_sheet


def test_every_panel_lies_in_its_place() -> None:
    colours = [[(row, panel, 9) for panel in range(2)] for row in range(3)]
    rows = [
        {f"caption {panel}": Image.new("RGB", (40, 20), colour) for panel, colour in enumerate(row)}
        for row in colours
    ]
    sheet = np.asarray(contact_sheet(rows, columns=2, height=20, gap=4))
    top = 2 * 11
    assert sheet.shape == (top + 2 * 20 + 4, 4 * 40 + 2 * 4 + 16, 3)
    for row, (line, column) in enumerate([(0, 0), (0, 1), (1, 0)]):
        for panel in range(2):
            left, upper = column * (2 * 44 + 12) + panel * 44, top + line * 24
            cell = sheet[upper : upper + 20, left : left + 40]
            assert (cell == colours[row][panel]).all()
    assert (sheet[top + 24 :, 2 * 44 + 12 :] == 255).all()  # an odd row leaves its place white
