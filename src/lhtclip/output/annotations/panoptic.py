"""COCO's panoptic pairs: an RGB PNG whose pixels are segment ids, and a list of the segments.

Every class is stuff: one segment per image, with the id of its category, class index + 1. Ids are
R + 256 G + 65536 B, and 0 is void, for ignored pixels. The background is a category too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from lhtclip.output.annotations.classes import ClassList
from lhtclip.output.png import encode_picture
from lhtclip.regions.components import classes_of
from lhtclip.regions.runs import Labels


def segment_ids(labels: Labels, classes: int) -> bytes:
    """Encode class indices (height, width) as an RGB PNG file; values without a class are void."""
    ids = np.where(labels < classes, labels.astype(np.uint16) + 1, 0)
    planes = np.stack([ids & 255, ids >> 8, np.zeros_like(ids)], axis=-1).astype(np.uint8)
    return encode_picture(Image.fromarray(planes))


def segments(labels: Labels, classes: int) -> list[dict[str, Any]]:
    """Describe the classes that are present."""
    found = classes_of(labels)
    each = zip(found.label.tolist(), found.area.tolist(), found.box.tolist(), strict=True)
    return [
        {"id": index + 1, "category_id": index + 1, "area": area, "bbox": box, "iscrowd": 0}
        for index, area, box in each
        if index < classes
    ]


def categories(classes: ClassList) -> list[dict[str, Any]]:
    """Describe the classes, all of them stuff."""
    return [
        {"id": index + 1, "name": name, "supercategory": "", "isthing": 0, "color": colour}
        for index, (name, colour) in enumerate(
            zip(classes.names, classes.colours.tolist(), strict=True)
        )
    ]
