"""COCO's instances: one annotation per connected region, as run lengths or as a polygon.

Categories count from 1. Run lengths are exact. Polygons are exact unless simplified, but COCO's own
tools round outlines to a fifth of a pixel. COCO has no holes, so an outline enters them along a
cut. `iscrowd` is 0 for run lengths as well, because trainers skip annotations with 1.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from lhtclip.output.annotations.classes import ClassList
from lhtclip.output.annotations.outlines import OutlineWriter, in_pixels
from lhtclip.regions.instances import Instances, Shape


def describe(
    instances: Instances, classes: ClassList, *, shape: Shape = "mask", tolerance: float = 0.0
) -> list[str]:
    """Describe the regions of one image, each as the text of a JSON object; ids are left out.

    Args:
        instances: The regions, without the background.
        classes: The meaning of their labels.
        shape: "mask" for compressed run lengths, "polygon" for an outline.
        tolerance: Tolerance of the polygons, in pixels.
    """
    number, components, chosen = classes.number, instances.components, instances.chosen
    columns = (
        components.label[chosen].tolist(),
        components.area[chosen].tolist(),
        components.box[chosen].tolist(),
        instances.scores.round(4).tolist(),
        _masks(instances) if shape == "mask" else _outlines(instances, tolerance),
    )
    begin, end = ("", "") if shape == "mask" else ("[[", "]]")
    return [
        f'{{"category_id":{number[label] + 1},"segmentation":{begin}{outline}{end},"area":{area},'
        f'"bbox":[{x},{y},{width},{height}],"iscrowd":0,"score":{score}}}'
        for label, area, (x, y, width, height), score, outline in zip(*columns, strict=True)
    ]


def _masks(instances: Instances) -> list[str]:
    height, width = instances.labels.shape
    return [
        f'{{"size":[{height},{width}],"counts":{json.dumps(text)}}}' for text in instances.texts()
    ]


def _outlines(instances: Instances, tolerance: float) -> list[str]:
    write = OutlineWriter(instances.labels.shape, x=in_pixels, y=in_pixels, within=",", between=",")
    polygons = instances.polygons(tolerance=tolerance)
    return write([each.keyhole() for each in polygons])


def document(
    images: Iterable[tuple[str, int, int, Sequence[str]]],
    classes: ClassList,
    *,
    description: str,
) -> Iterator[bytes]:
    """Write the file of a data set, piece by piece.

    Args:
        images: File name, width, height and annotations of each image; iterated twice.
        classes: The categories.
        description: Description of the file in its "info".
    """
    head: dict[str, Any] = {
        "info": {"description": description},
        "licenses": [],
        "categories": [
            {"id": place + 1, "name": classes.names[index], "supercategory": ""}
            for index, place in classes.number.items()
        ],
    }
    yield _text(head)[:-1] + b',"images":['
    for index, (name, width, height, _) in enumerate(images):
        entry = {"id": index + 1, "file_name": name, "width": width, "height": height}
        yield (b"," if index else b"") + _text(entry)
    yield b'],"annotations":['
    count = 0
    for index, (_, _, _, regions) in enumerate(images):
        for region in regions:
            count += 1
            comma = "," if count > 1 else ""
            yield f'{comma}{{"id":{count},"image_id":{index + 1},{region[1:]}'.encode()
    yield b"]}\n"


def _text(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
