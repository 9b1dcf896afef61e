"""A CVAT auto-annotation function: CVAT's command line labels the images of a task with it.

`cvat-cli task auto-annotate TASK --function-module lhtclip.server.protocols.cvat
-p classes=str:"car, road, person|rider" --allow-unmatched-labels`
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lhtclip.extras import import_extra
from lhtclip.segmenter import Segmenter
from lhtclip.text.vocabulary import Vocabulary


def create(
    classes: str, background: str = "", model: str = "ViT-B-16", least_area: int = 50
) -> Function:
    """Build the function; CVAT passes what was given with `-p NAME=TYPE:VALUE`.

    Args:
        classes: As for `lhtclip segment --classes`; the names are the labels of the task.
        background: Prompts for what is none of the classes; those pixels get no shape.
        model: As for `lhtclip segment --model`.
        least_area: Regions of fewer pixels are merged into their neighbours.

    Raises:
        LhtClipError: The classes or the model cannot be used.
        MissingDependencyError: cvat-sdk is not installed.
    """
    vocabulary = Vocabulary.of(classes, background=background or None)
    return Function(Segmenter.from_pretrained(model), vocabulary, least_area)


class Function:
    """What CVAT calls, image after image.

    Attributes:
        spec: The labels, for CVAT.
    """

    def __init__(self, segmenter: Segmenter, vocabulary: Vocabulary, least_area: int = 50) -> None:
        """Take the model and the classes; arguments as for `create`."""
        self._cvat = import_extra("cvat_sdk.auto_annotation", purpose="CVAT functions")
        self._masks = import_extra("cvat_sdk.masks", purpose="CVAT functions")
        self._segmenter, self._vocabulary = segmenter, vocabulary
        self._least_area = least_area
        self.spec = self._cvat.DetectionFunctionSpec(
            labels=[
                self._cvat.label_spec(name, index)
                for index, name in enumerate(vocabulary.names)
                if index != vocabulary.background
            ]
        )

    def detect(self, context: Any, image: Image.Image) -> list[Any]:
        """Return a mask, or a polygon where CVAT wants those, for every connected region."""
        result = self._segmenter.segment(image, self._vocabulary)
        regions = result.components(least_area=self._least_area)
        least = context.conf_threshold or 0.0
        if context.conv_mask_to_poly:
            outlines = zip(regions.polygons(), regions.scores, strict=True)
            return [
                self._cvat.polygon(each.label, each.keyhole().ravel().astype(float).tolist())
                for each, score in outlines
                if score >= least
            ]
        return [
            self._cvat.mask(
                each.label, self._masks.encode_mask(_whole(each.mask, each.box, result.labels))
            )
            for each in regions
            if each.score >= least
        ]


def _whole(
    mask: NDArray[np.bool_], box: tuple[int, int, int, int], labels: NDArray[Any]
) -> NDArray[np.bool_]:
    x, y, width, height = box
    whole = np.zeros(labels.shape, dtype=np.bool_)
    whole[y : y + height, x : x + width] = mask
    return whole
