"""LabelMe's JSON, one file per image: a "mask" shape or a polygon for each connected region.

A mask is a base64 PNG of its box, and the corners of the box are inclusive. LabelMe reads masks
since version 5.2. The outline of a polygon with holes enters them along a cut.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator

from lhtclip.output.annotations.classes import ClassList
from lhtclip.output.annotations.outlines import OutlineWriter, in_pixels
from lhtclip.output.png import encode_bits
from lhtclip.regions.instances import Instances, Shape

VERSION = "5.5.0"  # version of LabelMe whose layout this is


def document(
    instances: Instances,
    classes: ClassList,
    *,
    image_path: str,
    shape: Shape = "mask",
    tolerance: float = 0.0,
) -> str:
    """Describe the regions of one image; returns the text of the file.

    Args:
        instances: The regions, without the background.
        classes: The meaning of their labels.
        image_path: Path of the image, relative to the JSON file.
        shape: "mask" or "polygon".
        tolerance: Tolerance of the polygons, in pixels.
    """
    height, width = instances.labels.shape
    names = [json.dumps(name, ensure_ascii=False) for name in classes.names]
    labels = instances.components.label[instances.chosen].tolist()
    forms = _masks(instances) if shape == "mask" else _outlines(instances, tolerance)
    shapes = (
        f'{{"label": {names[label]}, {form}, "group_id": null, "description": "", '
        f'"shape_type": "{shape}", "flags": {{}}}}'
        for label, form in zip(labels, forms, strict=True)
    )
    return (
        f'{{"version": "{VERSION}", "flags": {{}}, "shapes": [{", ".join(shapes)}], '
        f'"imagePath": {json.dumps(image_path, ensure_ascii=False)}, "imageData": null, '
        f'"imageHeight": {height}, "imageWidth": {width}}}'
    )


def _masks(instances: Instances) -> Iterator[str]:
    for each in instances:
        x, y, width, height = each.box
        png = b64encode(encode_bits(each.mask)).decode()
        yield f'"points": [[{x}, {y}], [{x + width - 1}, {y + height - 1}]], "mask": "{png}"'


def _outlines(instances: Instances, tolerance: float) -> Iterator[str]:
    write = OutlineWriter(
        instances.labels.shape, x=in_pixels, y=in_pixels, within=",", between="],["
    )
    polygons = instances.polygons(tolerance=tolerance)
    return (f'"points": [[{line}]]' for line in write([each.keyhole() for each in polygons]))
