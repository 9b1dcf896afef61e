"""LabelMe's JSON, one file per image: a "mask" shape or a polygon for each connected region.

A mask is a base64 PNG of its box, and the corners of the box are inclusive. LabelMe reads masks
since version 5.2. The outline of a polygon with holes enters them along a cut.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Any

from PIL import Image

from lhtclip.output.annotations.classes import ClassList
from lhtclip.output.png import encode_picture
from lhtclip.regions.instances import Instance, Instances, Shape

VERSION = "5.5.0"  # version of LabelMe whose layout this is


def document(
    instances: Instances,
    classes: ClassList,
    *,
    image_path: str,
    shape: Shape = "mask",
    tolerance: float = 0.0,
) -> dict[str, Any]:
    """Describe the regions of one image.

    Args:
        instances: The regions, without the background.
        classes: The meaning of their labels.
        image_path: Path of the image, relative to the JSON file.
        shape: "mask" or "polygon".
        tolerance: Tolerance of the polygons, in pixels.
    """
    height, width = instances.labels.shape
    if shape == "mask":
        shapes = list(map(_mask, instances, _labels(instances, classes)))
    else:
        polygons = instances.polygons(tolerance=tolerance)
        shapes = [
            _shape(label, "polygon", polygon.keyhole().tolist())
            for polygon, label in zip(polygons, _labels(instances, classes), strict=True)
        ]
    return {
        "version": VERSION,
        "flags": {},
        "shapes": shapes,
        "imagePath": image_path,
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }


def _labels(instances: Instances, classes: ClassList) -> Iterator[str]:
    labels = instances.components.label[instances.chosen].tolist()
    return (classes.names[label] for label in labels)


def _mask(instance: Instance, label: str) -> dict[str, Any]:
    x, y, width, height = instance.box
    png = encode_picture(Image.fromarray(instance.mask))
    corners = [[x, y], [x + width - 1, y + height - 1]]
    return _shape(label, "mask", corners) | {"mask": base64.b64encode(png).decode()}


def _shape(label: str, kind: str, points: Sequence[Sequence[float]]) -> dict[str, Any]:
    return {
        "label": label,
        "points": points,
        "group_id": None,
        "description": "",
        "shape_type": kind,
        "flags": {},
    }
