"""The CVAT function, judged by CVAT's own driver as it is before shapes are sent."""

from __future__ import annotations

from dataclasses import dataclass
from logging import getLogger
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lhtclip import Segmenter
from lhtclip.datasets.scene_files import bundled_scenes
from lhtclip.server.protocols.cvat import Function, create
from lhtclip.text.vocabulary import Vocabulary

driver = pytest.importorskip("cvat_sdk.auto_annotation.driver")
masks = pytest.importorskip("cvat_sdk.masks")
models = pytest.importorskip("cvat_sdk.models")

SCENE = bundled_scenes()[1]
CLASSES = [*SCENE.names]


@dataclass
class Context:
    """What CVAT says with each image."""

    conf_threshold: float | None = None
    conv_mask_to_poly: bool = False
    frame_name: str = "a.png"


def accepted(function: Function, shapes: list[Any], context: Context) -> list[Any]:
    """Let CVAT's driver check shapes against a task whose labels have other ids."""
    labels = [
        models.Label(id=100 + i, name=name, type="any", attributes=[], sublabels=[])
        for i, name in enumerate(CLASSES)
    ]
    mapper = driver._AnnotationMapper(
        getLogger("cvat"),
        function.spec.labels,
        labels,
        allow_unmatched_labels=False,
        conv_mask_to_poly=context.conv_mask_to_poly,
    )
    mapper.validate_and_remap(shapes, 0)
    return shapes


def test_masks_are_those_of_the_library(segmenter: Segmenter) -> None:
    vocabulary = Vocabulary.of(CLASSES)
    function, context = Function(segmenter, vocabulary, least_area=0), Context()
    picture = Image.open(SCENE.image)
    shapes = accepted(function, function.detect(context, picture), context)
    result = segmenter.segment(picture, vocabulary)
    height, width = result.labels.shape
    found = np.full((height, width), 255, dtype=np.uint8)
    for shape in shapes:
        mask = masks.decode_mask(shape.points, image_width=width, image_height=height)
        assert (found[mask] == 255).all()
        found[mask] = shape.label_id - 100
    assert np.array_equal(found, result.labels)


def test_polygons_and_thresholds(segmenter: Segmenter) -> None:
    function = Function(segmenter, Vocabulary.of(CLASSES, background="wall"))
    picture = Image.open(SCENE.image)
    context = Context(conv_mask_to_poly=True)
    shapes = accepted(function, function.detect(context, picture), context)
    assert {each.type.value for each in shapes} == {"polygon"}
    assert len(function.detect(Context(conf_threshold=0.99), picture)) < len(shapes)
    assert function.detect(Context(conf_threshold=1.0), picture) == []


def test_the_options_of_cvat_s_command_line() -> None:
    function = create("cat, dog|puppy", background="sky", model="bundled")
    assert [label.name for label in function.spec.labels] == ["cat", "dog"]
