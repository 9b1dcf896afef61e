"""Ultralytics' files: outlines of instances as text, and the YAML that describes a data set.

A line holds a class, counted from 0, and an outline in fractions of width and height. There are no
holes, so an outline enters them along a cut. Larger regions come first, because readers draw in
this order.
"""

from __future__ import annotations

import json
from functools import partial

from lhtclip.output.annotations.classes import ClassList
from lhtclip.output.annotations.outlines import OutlineWriter, rounded
from lhtclip.regions.instances import Instances

DIGITS = 6  # decimals of a fraction: a thousandth of a pixel at 1000 pixels


def outlines(instances: Instances, classes: ClassList, *, tolerance: float = 0.0) -> str:
    """Describe the regions of one image, one per line.

    Args:
        instances: The regions, without the background.
        classes: The meaning of their labels.
        tolerance: Tolerance of the outlines, in pixels.
    """
    height, width = instances.labels.shape
    write = OutlineWriter(
        (height, width),
        x=partial(_share, of=width),
        y=partial(_share, of=height),
        within=" ",
        between=" ",
    )
    polygons = sorted(instances.polygons(tolerance=tolerance), key=lambda each: -each.area)
    number = classes.number
    lines = zip(polygons, write([each.keyhole() for each in polygons]), strict=True)
    return "".join(f"{number[each.label]} {line}\n" for each, line in lines)


def _share(place: float, of: int) -> str:
    return rounded(place / of, DIGITS)


def data_yaml(names: list[str], *, masks: str | None = None) -> str:
    """Describe a data set in the folder of the YAML file, with all images in `images`.

    Args:
        names: The classes, from 0.
        masks: Folder of label PNGs, for semantic segmentation; None for outlines.
    """
    lines = ["train: images", "val: images  # the same images; choose your own for validation"]
    lines += [f"masks_dir: {masks}"] if masks else []
    lines += ["names:"]
    lines += [
        f"  {index}: {json.dumps(name, ensure_ascii=False)}" for index, name in enumerate(names)
    ]
    return "\n".join(lines) + "\n"
