"""COCO's instances as a label map: pycocotools fills every outline of `instances_val2017.json`.

Where instances overlap, the smaller one is on top, because it is usually in front of the larger or
a part of it. Crowd regions have their class like all others, but are below every single instance.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lhtclip.datasets.coco import THING_IDS, images_of, places_below
from lhtclip.datasets.dataset import Sample, Truth
from lhtclip.datasets.layout import pair
from lhtclip.errors import InputError, reason_of
from lhtclip.extras import import_extra
from lhtclip.files.json_files import read_json

INSTANCES_FILES = ("annotations/instances_val2017.json", "instances_val2017.json")

# The class of each of COCO's category ids, which count from 1; class 0 is the background.
_CLASS_OF_CATEGORY = {number + 1: index for index, number in enumerate(THING_IDS, start=1)}


@dataclass(frozen=True, slots=True)
class Instance:
    """One annotated object, or a crowd of objects.

    Attributes:
        number: Number of the annotation.
        label: The class, from 1.
        crowd: Whether it is a crowd outlined as one.
        outline: COCO's `segmentation`: polygons, or run lengths.
    """

    number: int
    label: int
    crowd: bool
    outline: Sequence[Sequence[float]] | Mapping[str, Any]


def samples_of_instances(root: Path) -> tuple[Sample, ...]:
    """Return the images listed by a file of instances below `root`; empty without such a file.

    Raises:
        InputError: The file is broken, or its images are not those of the folder.
    """
    for place in places_below(root):
        path = next((place / name for name in INSTANCES_FILES if (place / name).is_file()), None)
        images = images_of(place)
        if path and images:
            listed = _read(path)
            pairs = pair(f"COCO-Object of {path}", images, dict.fromkeys(listed, path))
            return tuple(
                Sample(name, image, partial(draw_instances, path, *listed[name]), labels=path)
                for name, image, _ in pairs
            )
    return ()


def draw_instances(path: Path, size: tuple[int, int], instances: Sequence[Instance]) -> Truth:
    """Draw instances onto a background of class 0: crowds first, and larger before smaller ones.

    Args:
        path: Their file, for messages.
        size: The image's height and width.
        instances: The instances of one image; of equally large ones the later is on top.

    Raises:
        InputError: An outline cannot be used.
        MissingDependencyError: pycocotools is not installed.
    """
    masks = import_extra("pycocotools.mask", purpose="COCO's outlines")
    drawn: list[tuple[bool, int, int, NDArray[np.uint8]]] = []
    for instance in instances:
        if not instance.outline:
            continue
        try:
            runs = _runs(masks, instance.outline, size)
            mask, area = masks.decode(runs), int(masks.area(runs))
        except Exception as error:  # pycocotools also raises bare exceptions
            raise InputError(
                f"Annotation {instance.number} of {path} cannot be drawn: {error}"
            ) from error
        drawn.append((not instance.crowd, -area, instance.label, mask))
    labels = np.zeros(size, dtype=np.uint8)
    for _, _, label, mask in sorted(drawn, key=lambda each: each[:2]):
        labels[mask > 0] = label
    return labels


def _runs(
    masks: Any, outline: Sequence[Sequence[float]] | Mapping[str, Any], size: tuple[int, int]
) -> Any:
    """Return an outline as pycocotools' compressed run lengths."""
    if isinstance(outline, Mapping):
        if tuple(outline["size"]) != size:
            raise InputError(f"It is for an image of {outline['size']}, not of {list(size)}.")
        counts: Any = outline["counts"]
        if isinstance(counts, str | bytes):
            return dict(outline)
        if sum(counts) != size[0] * size[1]:  # pycocotools would fill in what is missing
            raise InputError(
                f"Its runs cover {sum(counts)} pixels of an image of {size[0]} x {size[1]}."
            )
        return masks.frPyObjects(dict(outline), *size)
    for polygon in outline:
        if len(polygon) < 6 or len(polygon) % 2:
            raise InputError(f"A polygon has {len(polygon)} numbers; 6, 8, 10, ... are possible.")
    return masks.merge(masks.frPyObjects([list(polygon) for polygon in outline], *size))


_MOST_BYTES = 4 << 30  # of the largest, of the training pictures, 448 MB


def _read(path: Path) -> dict[str, tuple[tuple[int, int], tuple[Instance, ...]]]:
    """Return the height and width of each image, and its instances, by the image's name."""
    instances: defaultdict[int, list[Instance]] = defaultdict(list)
    try:
        content: Any = read_json(path, most=_MOST_BYTES)
        for entry in content["annotations"]:
            instances[entry["image_id"]].append(_instance(entry))
        return {
            Path(entry["file_name"]).stem: (
                (int(entry["height"]), int(entry["width"])),
                tuple(instances[entry["id"]]),
            )
            for entry in content["images"]
        }
    except OSError as error:
        raise InputError(f"Cannot read {path}: {reason_of(error)}.") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is not a file of COCO's instances ({error!r}).") from error


def _instance(entry: Mapping[str, Any]) -> Instance:
    category = entry["category_id"]
    if category not in _CLASS_OF_CATEGORY:
        raise ValueError(f"category {category} is not one of COCO's 80, whose ids go up to 90")
    return Instance(
        number=entry["id"],
        label=_CLASS_OF_CATEGORY[category],
        crowd=bool(entry.get("iscrowd", 0)),
        outline=entry["segmentation"],
    )
