"""Label Studio's tasks with predictions, and the matching labelling interface.

Each class present is one brush mask, or each region one polygon in percent of the image. The editor
shows a prediction only if `from_name`, `to_name`, the type and the labels match the interface, so
both are built here. It also needs the size of the image.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from xml.sax.saxutils import quoteattr

import numpy as np

from lhtclip.output.annotations.classes import ClassList
from lhtclip.output.annotations.outlines import OutlineWriter, rounded
from lhtclip.regions.brush import brushes_of_labels
from lhtclip.regions.instances import Instances, Shape

_TYPES = {"mask": "brushlabels", "polygon": "polygonlabels"}
_TAGS = {"mask": "BrushLabels", "polygon": "PolygonLabels"}
_FROM, _TO = "label", "image"
_BYTES = np.array([f"{value},".encode() for value in range(256)])
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
) -> str:
    """Describe one image and its predictions; returns JSON.

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
    kind, names = _TYPES[shape], [json.dumps(name, ensure_ascii=False) for name in classes.names]
    results = ",".join(
        f'{{"id":"r{index}","type":"{kind}","from_name":"{_FROM}","to_name":"{_TO}",'
        f'"original_width":{width},"original_height":{height},"image_rotation":0,'
        f'"score":{round(score, 4)},"value":{{{value},"{kind}":[{names[label]}]}}}}'
        for index, (label, score, value) in enumerate(make)
    )
    areas = instances.components.area[instances.chosen]
    mean = float(np.average(instances.scores, weights=areas)) if len(areas) else 0.0
    version, url = (json.dumps(each, ensure_ascii=False) for each in (model_version, image))
    return (
        f'{{"data":{{"{_TO}":{url}}},"predictions":[{{"model_version":{version},'
        f'"score":{round(mean, 4)},"result":[{results}]}}]}}'
    )


def _brushes(instances: Instances) -> Iterator[tuple[int, float, str]]:
    labels = instances.components.label[instances.chosen]
    areas = instances.components.area[instances.chosen]
    brushes = brushes_of_labels(instances.labels)
    for label in np.unique(labels).tolist():
        own = labels == label
        score = float(np.average(instances.scores[own], weights=areas[own]))
        numbers = _BYTES[brushes[label]].tobytes().translate(None, b"\0")[:-1].decode("ascii")
        yield label, score, f'"format":"rle","rle":[{numbers}]'


def _polygons(instances: Instances, tolerance: float) -> Iterator[tuple[int, float, str]]:
    height, width = instances.labels.shape
    write = OutlineWriter(
        (height, width),
        x=partial(_percent, of=width),
        y=partial(_percent, of=height),
        within=",",
        between="],[",
    )
    polygons = instances.polygons(tolerance=tolerance)
    lines = write([each.keyhole() for each in polygons])
    for each, score, line in zip(polygons, instances.scores.tolist(), lines, strict=True):
        yield each.label, score, f'"points":[[{line}]],"closed":true'


def _percent(place: float, of: int) -> str:
    return rounded(100 * place / of, _DIGITS)
