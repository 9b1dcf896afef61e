"""Encode the regions of a large label map for other programs, against its PNG file.

`python -m benchmarks.formats` uses a map of 4000 × 6000 pixels with 171 classes and about 10,000
regions with ragged borders. Everything runs on one core; processor time is measured, not wall time.
"""

from __future__ import annotations

import time
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial import cKDTree

from benchmarks.harness import Work, measure, ratio, read_options
from benchmarks.results import Results, spread
from lhtclip.output.annotations import coco, label_studio, labelme
from lhtclip.output.annotations.classes import ClassList
from lhtclip.output.png import encode_labels
from lhtclip.regions.instances import SHAPES, Shape, instances_of
from lhtclip.regions.polygons import polygons_of

BUDGET = 90.0  # seconds
SIZE, QUICK_SIZE = (4000, 6000), (400, 600)
CLASSES = 171
PIXELS = 2300  # for each region, about
NAMES = ClassList(tuple(f"class {index}" for index in range(CLASSES)))
FACTOR = 3  # times the PNG file's time, the goal
_SMOOTH = Image.Resampling.BICUBIC
PNG, OUTLINES = "PNG file", "polygons"


def main(given: list[str] | None = None) -> Results:
    """Measure, print and save."""
    options, _ = read_options(__doc__, budget=BUDGET, dtypes="float32", given=given)
    results = Results("formats", options)
    labels = ragged_map(QUICK_SIZE if options.quick else SIZE)
    works: dict[str, Work] = {
        PNG: partial(encode_labels, labels),
        OUTLINES: partial(polygons_of, labels),
    }
    for program, write in FILES.items():
        for shape in SHAPES:
            works[f"{program}, {shape}s"] = partial(write, labels, shape)
    times = measure(
        works, budget=options.clock.left, device=options.device, clock=time.process_time
    )
    rows = [(name, spread(each), f"{ratio(each, times[PNG]):.1f}×") for name, each in times.items()]
    regions = len(instances_of(labels))
    title = f"{labels.shape[0]} × {labels.shape[1]} pixels, {CLASSES} classes, {regions} regions"
    results.table(title, ("", "time of one core", "of the PNG file's"), rows)
    for name in [*works][1:]:
        factor = ratio(times[name], times[PNG])
        results.goal(
            f"formats, {name}, against the PNG file",
            f"≤ {FACTOR}×",
            f"{factor:.1f}×",
            reached=factor <= FACTOR,
        )
    results.save()
    return results


def ragged_map(size: tuple[int, int]) -> NDArray[np.uint8]:
    """Make a label map: the nearest of random points, with wavy distortion."""
    random = np.random.default_rng(0)
    height, width = size
    count = height * width // PIXELS
    points = random.random((count, 2)) * size
    coarse = random.normal(scale=12, size=(2, height // 40 + 2, width // 40 + 2))
    rows, columns = (
        np.asarray(
            Image.fromarray(each.astype(np.float32)).resize(
                (width, height), Image.Resampling.BICUBIC
            )
        )
        + place
        for each, place in zip(coarse, np.indices(size, sparse=True), strict=True)
    )
    _, nearest = cKDTree(points).query(np.stack([rows.ravel(), columns.ravel()], axis=1))
    return random.integers(0, CLASSES, count).astype(np.uint8)[nearest].reshape(size)


def coco_file(labels: NDArray[np.uint8], shape: Shape) -> bytes:
    """Write the regions as a COCO file."""
    regions = coco.describe(instances_of(labels), NAMES, shape=shape)
    height, width = labels.shape
    images = [("image.jpg", width, height, regions)]
    return b"".join(coco.document(images, NAMES, description="benchmark"))


def labelme_file(labels: NDArray[np.uint8], shape: Shape) -> bytes:
    """Write the regions as a file of LabelMe."""
    return labelme.document(
        instances_of(labels), NAMES, image_path="image.jpg", shape=shape
    ).encode()


def label_studio_task(labels: NDArray[np.uint8], shape: Shape) -> bytes:
    """Write the regions as a task of Label Studio."""
    regions = instances_of(labels)
    return label_studio.task(
        regions, NAMES, image="image.jpg", model_version="benchmark", shape=shape
    ).encode()


FILES = {"COCO": coco_file, "LabelMe": labelme_file, "Label Studio": label_studio_task}


if __name__ == "__main__":
    main()
