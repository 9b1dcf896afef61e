"""Connected regions as objects, which annotation formats and detectors call instances."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from lhtclip.errors import whole
from lhtclip.regions.components import Components, components_of
from lhtclip.regions.merging import merge_small
from lhtclip.regions.polygons import Polygon, polygons_of
from lhtclip.regions.run_lengths import texts_of_components
from lhtclip.regions.runs import Integers, Labels

Shape: TypeAlias = Literal["mask", "polygon"]
SHAPES: tuple[Shape, ...] = get_args(Shape)


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """One connected region.

    Attributes:
        label: Its class index.
        area: Pixels.
        box: x, y, width and height in pixels.
        score: Mean score of its pixels, in [0, 1].
        mask: The pixels of the box that belong to it (box height, box width).
    """

    label: int
    area: int
    box: tuple[int, int, int, int]
    score: float
    mask: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Instances:
    """The connected regions of a label map, except those of some labels.

    Attributes:
        labels: The label map (height, width) with small regions merged.
        components: Its regions.
        chosen: Ascending indices of the instances in `components` (instances,).
        scores: Mean score of each instance (instances,).
    """

    labels: Labels
    components: Components
    chosen: Integers
    scores: NDArray[np.float64]

    def __len__(self) -> int:
        """Return the number of instances."""
        return len(self.chosen)

    def __iter__(self) -> Iterator[Instance]:
        """Iterate in the column-major order of first pixels."""
        numbers = self.components.runs.columns(self.components.of_run.astype(np.int32))
        columns = (
            self.chosen.tolist(),
            self.components.label[self.chosen].tolist(),
            self.components.area[self.chosen].tolist(),
            self.components.box[self.chosen].tolist(),
            self.scores.tolist(),
        )
        for index, label, area, (x, y, width, height), score in zip(*columns, strict=True):
            mask = (numbers[x : x + width, y : y + height] == index).T
            yield Instance(label, area, (x, y, width, height), score, mask)

    def texts(self) -> list[str]:
        """Return COCO's compressed run lengths of each instance."""
        texts = texts_of_components(self.components)
        return [texts[index] for index in self.chosen.tolist()]

    def polygons(self, *, tolerance: float = 0.0) -> list[Polygon]:
        """Return the polygon of each instance; arguments and errors as for `polygons_of`."""
        polygons = polygons_of(self.labels, components=self.components, tolerance=tolerance)
        return [polygons[index] for index in self.chosen.tolist()]


def instances_of(
    labels: Labels,
    scores: NDArray[np.float32] | None = None,
    *,
    skipped: Collection[int] = (),
    least_area: int = 0,
    ignored: int | None = None,
    connectivity: int = 4,
) -> Instances:
    """Find the connected regions of a label map.

    Args:
        labels: (height, width).
        scores: Score of each pixel (height, width); by default every score is 1.
        skipped: Labels that are not objects, such as the background's.
        least_area: Smaller regions are merged into their neighbours (`merge_small`).
        ignored: Label of ignored pixels, which are not objects and absorb nothing.
        connectivity: 4 or 8, as in `components_of`.

    Raises:
        InputError: Another connectivity, or a least area that is no whole number.
    """
    least_area = whole("least_area", least_area)
    if least_area > 1:
        labels = merge_small(labels, least_area, ignored=ignored, connectivity=connectivity)
    components = components_of(labels, connectivity=connectivity)
    left_out = [*skipped, ignored] if ignored is not None else [*skipped]
    chosen = np.flatnonzero(~np.isin(components.label, left_out))
    if scores is None:
        return Instances(labels, components, chosen, np.ones(len(chosen)))
    sums = np.bincount(components.of_run, components.runs.sums(scores), len(components))
    return Instances(labels, components, chosen, (sums / components.area)[chosen])
