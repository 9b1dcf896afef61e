"""COCO's instances: one annotation per connected region, as run lengths or as a polygon.

Categories count from 1. Run lengths are exact. Polygons are exact unless simplified, but COCO's own
tools round outlines to a fifth of a pixel. COCO has no holes, so an outline enters them along a
cut. `iscrowd` is 0 for run lengths as well, because trainers skip annotations with 1.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from lhtclip.output.annotations.classes import ClassList
from lhtclip.regions.instances import Instances, Shape


def describe(
    instances: Instances, classes: ClassList, *, shape: Shape = "mask", tolerance: float = 0.0
) -> list[dict[str, Any]]:
    """Describe the regions of one image; the document assigns the ids.

    Args:
        instances: The regions, without the background.
        classes: The meaning of their labels.
        shape: "mask" for compressed run lengths, "polygon" for an outline.
        tolerance: Tolerance of the polygons, in pixels.
    """
    height, width = instances.labels.shape
    if shape == "mask":
        outlines: Iterable[Any] = (
            {"size": [height, width], "counts": text} for text in instances.texts()
        )
    else:
        polygons = instances.polygons(tolerance=tolerance)
        outlines = ([_flat(each.keyhole())] for each in polygons)
    number, components, chosen = classes.number, instances.components, instances.chosen
    columns = (
        components.label[chosen].tolist(),
        components.area[chosen].tolist(),
        components.box[chosen].tolist(),
        instances.scores.round(4).tolist(),
        outlines,
    )
    return [
        {
            "category_id": number[label] + 1,
            "segmentation": outline,
            "area": area,
            "bbox": box,
            "iscrowd": 0,
            "score": score,
        }
        for label, area, box, score, outline in zip(*columns, strict=True)
    ]


def document(
    images: Iterable[tuple[str, int, int, list[dict[str, Any]]]],
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
            entry = {"id": count, "image_id": index + 1} | region
            yield (b"," if count > 1 else b"") + _text(entry)
    yield b"]}\n"


def _flat(ring: Any) -> list[float]:
    return ring.ravel().tolist()


def _text(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
