"""Label Studio's tasks with predictions, and the matching labelling interface.

Each class present is one brush mask, or each region one polygon in percent of the image. The editor
shows a prediction only if `from_name`, `to_name`, the type and the labels match the interface, so
both are built here. It also needs the size of the image.
"""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np

from lhtclip.output.annotations.classes import ClassList
from lhtclip.regions.brush import brushes_of_labels
from lhtclip.regions.instances import Instances, Shape

_TYPES = {"mask": "brushlabels", "polygon": "polygonlabels"}
_TAGS = {"mask": "BrushLabels", "polygon": "PolygonLabels"}
_FROM, _TO = "label", "image"
_DIGITS = 4  # of a percentage: a hundredth of a pixel at 10,000 pixels


def interface(classes: ClassList, *, shape: Shape = "mask") -> str:
    """Return the labelling interface as XML, to paste into the project's settings."""
    labels = "".join(
        f'    <Label value={quoteattr(classes.names[index])} background="#{colour}"/>\n'
        for index in classes.objects
        for colour in [bytes(classes.colours[index]).hex()]
    )
    return (
        f'<View>\n  <Image name="{_TO}" value="${_TO}" zoom="true"/>\n'
        f'  <{_TAGS[shape]} name="{_FROM}" toName="{_TO}">\n{labels}  </{_TAGS[shape]}>\n</View>\n'
    )


def task(
    instances: Instances,
    classes: ClassList,
    *,
    image: str,
    model_version: str,
    shape: Shape = "mask",
    tolerance: float = 0.0,
) -> dict[str, Any]:
    """Describe one image and its predictions.

    Args:
        instances: The regions, without the background.
        classes: The meaning of their labels.
        image: Where Label Studio finds the image: a URL, or "/data/local-files/?d=...".
        model_version: The model that made the prediction.
        shape: "mask" for brush masks, "polygon" for polygons.
        tolerance: Tolerance of the polygons, in pixels.
    """
    make = _brushes(instances) if shape == "mask" else _polygons(instances, tolerance)
    height, width = instances.labels.shape
    results = [
        {
            "id": f"r{index}",
            "type": _TYPES[shape],
            "from_name": _FROM,
            "to_name": _TO,
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "score": round(score, 4),
            "value": value | {_TYPES[shape]: [classes.names[label]]},
        }
        for index, (label, score, value) in enumerate(make)
    ]
    areas = instances.components.area[instances.chosen]
    mean = float(np.average(instances.scores, weights=areas)) if len(areas) else 0.0
    prediction = {"model_version": model_version, "score": round(mean, 4), "result": results}
    return {"data": {_TO: image}, "predictions": [prediction]}


def _brushes(instances: Instances) -> list[tuple[int, float, dict[str, Any]]]:
    labels = instances.components.label[instances.chosen]
    areas = instances.components.area[instances.chosen]
    brushes = brushes_of_labels(instances.labels)
    return [
        (
            label,
            float(np.average(instances.scores[labels == label], weights=areas[labels == label])),
            {"format": "rle", "rle": brushes[label]},
        )
        for label in np.unique(labels).tolist()
    ]


def _polygons(instances: Instances, tolerance: float) -> list[tuple[int, float, dict[str, Any]]]:
    percent = 100 / np.array(instances.labels.shape[::-1])
    polygons = instances.polygons(tolerance=tolerance)
    return [
        (
            each.label,
            score,
            {"points": (each.keyhole() * percent).round(_DIGITS).tolist(), "closed": True},
        )
        for each, score in zip(polygons, instances.scores.tolist(), strict=True)
    ]
