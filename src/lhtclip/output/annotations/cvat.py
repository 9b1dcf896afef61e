"""CVAT's import format "Segmentation mask 1.1": Pascal VOC's folders with our own colours.

`labelmap.txt` gives the colour of each class. The background and ignored pixels are black, because
the importer refuses colours that are not in the list.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from lhtclip.errors import InputError
from lhtclip.output.annotations.classes import ClassList
from lhtclip.output.png import encode_picture
from lhtclip.regions.runs import Labels

_MOST = 256  # classes with distinct colours


def labelmap(classes: ClassList) -> str:
    """List the classes and their colours.

    Raises:
        InputError: There are more classes than colours.
    """
    if len(classes.names) > _MOST:
        raise InputError(
            f"CVAT's masks have room for {_MOST} classes, got {len(classes.names)}. Use the format "
            "coco, which CVAT imports as COCO 1.0."
        )
    for name in classes.names:
        if ":" in name or "#" in name:
            raise InputError(
                f"CVAT's labelmap.txt cannot have the class name {name!r}: ':' separates columns "
                "and '#' begins a comment. Rename the class, or use the format coco."
            )
    lines = ["# label:color_rgb:parts:actions", "background:0,0,0::"]
    for index in classes.objects:
        red, green, blue = classes.colours[index].tolist()
        lines.append(f"{classes.names[index]}:{red},{green},{blue}::")
    return "\n".join(lines) + "\n"


def colour_mask(labels: Labels, classes: ClassList) -> bytes:
    """Encode class indices (height, width) as an RGB PNG file in the classes' colours."""
    table = np.zeros((len(classes.names) + 1, 3), dtype=np.uint8)
    table[list(classes.objects)] = classes.colours[list(classes.objects)]
    return encode_picture(Image.fromarray(table[np.minimum(labels, len(classes.names))]))
