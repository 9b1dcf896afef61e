"""Convert a result for other programs and data frames.

The methods only delegate: each form has its own file in this package.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lhtclip.errors import check_choice, check_text
from lhtclip.output.annotations import coco, fiftyone, hugging_face, label_studio, labelme, tables
from lhtclip.output.annotations import supervision as roboflow
from lhtclip.output.annotations.classes import ClassList
from lhtclip.regions.instances import SHAPES, Instances, Shape, instances_of
from lhtclip.regions.polygons import Polygon, check_tolerance


class Forms:
    """Conversions of a `Segmentation`."""

    __slots__ = ()

    labels: NDArray[np.uint8] | NDArray[np.uint16]
    scores: NDArray[np.float32]
    names: tuple[str, ...]
    background: int | None

    def components(self, *, least_area: int = 0, connectivity: int = 4) -> Instances:
        """Find the connected regions of all classes except the background.

        Args:
            least_area: Regions of fewer pixels are merged into the neighbour with the longest
                shared border.
            connectivity: 4 joins pixels that share a side, 8 also those that share a corner.

        Returns:
            An iterable of `Instance`, each with label, area, box, score and mask.

        Raises:
            InputError: Another connectivity.
        """
        return instances_of(
            self.labels,
            self.scores,
            skipped=() if self.background is None else (self.background,),
            least_area=least_area,
            ignored=self._ignored,
            connectivity=connectivity,
        )

    def polygons(self, *, tolerance: float = 0.0, least_area: int = 0) -> list[Polygon]:
        """Outline the connected regions of all classes except the background, with their holes.

        Args:
            tolerance: Pixels that an outline may move to save points; at 0 outlines are exact.
                Neighbours move together, without gaps.
            least_area: As for `components`.

        Raises:
            InputError: A tolerance below 0.
        """
        return self.components(least_area=least_area).polygons(tolerance=tolerance)

    def to_coco(
        self,
        *,
        file_name: str = "image.png",
        shape: Shape = "mask",
        tolerance: float = 0.0,
        least_area: int = 0,
    ) -> dict[str, Any]:
        """Describe the regions as a COCO data set of this one image; see `components`."""
        check_text("file_name", file_name)
        _check_outline(shape, tolerance)
        height, width = self.labels.shape
        regions = coco.describe(
            self.components(least_area=least_area), self._classes, shape=shape, tolerance=tolerance
        )
        pieces = coco.document(
            [(file_name, width, height, regions)], self._classes, description="lhtclip"
        )
        return json.loads(b"".join(pieces))

    def to_labelme(
        self,
        *,
        image_path: str,
        shape: Shape = "mask",
        tolerance: float = 0.0,
        least_area: int = 0,
    ) -> dict[str, Any]:
        """Describe the regions as LabelMe's JSON; `image_path` is relative to the JSON file."""
        check_text("image_path", image_path)
        _check_outline(shape, tolerance)
        text = labelme.document(
            self.components(least_area=least_area),
            self._classes,
            image_path=image_path,
            shape=shape,
            tolerance=tolerance,
        )
        return json.loads(text)

    def to_label_studio(
        self,
        *,
        image: str,
        model_version: str = "lhtclip",
        shape: Shape = "mask",
        tolerance: float = 0.0,
        least_area: int = 0,
    ) -> dict[str, Any]:
        """Describe the regions as a Label Studio task with predictions; `image` is its URL."""
        check_text("image", image)
        check_text("model_version", model_version)
        _check_outline(shape, tolerance)
        text = label_studio.task(
            self.components(least_area=least_area),
            self._classes,
            image=image,
            model_version=model_version,
            shape=shape,
            tolerance=tolerance,
        )
        return json.loads(text)

    def to_supervision(self, *, least_area: int = 0) -> Any:
        """Return the regions as `supervision.Detections`.

        Raises:
            MissingDependencyError: supervision is not installed.
        """
        return roboflow.detections(self.components(least_area=least_area), self._classes)

    def to_fiftyone(self) -> Any:
        """Return a `fiftyone.Segmentation`; its mask holds class index + 1, since 0 is not shown.

        Raises:
            MissingDependencyError: fiftyone is not installed.
        """
        return fiftyone.segmentation(self.labels, classes=len(self.names))

    def to_hf(self) -> list[dict[str, Any]]:
        """Return the result of `transformers`' pipelines: {"score", "label", "mask"} per class."""
        return hugging_face.pipeline_list(self.labels, self.names)

    def to_dataframe(self) -> Any:
        """Return a `pandas.DataFrame` with a row per class: pixels, share, mean score, regions.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        measured = tables.rows("", self.labels, self.scores, self.names)
        return tables.data_frame(measured).drop(columns="image")

    @property
    def _classes(self) -> ClassList:
        return ClassList(self.names, self.background)

    @property
    def _ignored(self) -> int:
        """The label of ignored pixels."""
        return int(np.iinfo(self.labels.dtype).max)


def _check_outline(shape: object, tolerance: object) -> None:
    check_choice("shape", shape, SHAPES)
    check_tolerance(tolerance)
