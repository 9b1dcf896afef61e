"""Scores on scenes: every scene is labelled with its own candidates, all are counted together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lhtclip.datasets.scene_files import IGNORED, Scene
from lhtclip.errors import InputError
from lhtclip.evaluation.confusion import Confusion
from lhtclip.segmentation import Segmentation
from lhtclip.segmenter import Segmenter
from lhtclip.text.vocabulary import Vocabulary

_IGNORED = -1  # the union may have more than 255 classes


@dataclass(frozen=True, slots=True, eq=False)
class SceneResult:
    """A scene, what was found in it, its picture (H, W, 3) and its true labels (H, W), uint8."""

    scene: Scene
    segmentation: Segmentation
    image: NDArray[np.uint8]
    truth: NDArray[np.uint8]

    def count_in(self, confusion: Confusion) -> None:
        """Add the pixels to a confusion from `new_confusion`, class by class of the same name."""
        index = {name: position for position, name in enumerate(confusion.names)}
        places = np.full(IGNORED + 1, _IGNORED, dtype=np.int64)
        places[: len(self.scene.classes)] = [index[name] for name in self.scene.names]
        confusion.add(places[self.truth], places[self.segmentation.labels])


def scenes_confusion(
    segmenter: Segmenter,
    scenes: Sequence[Scene],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[tuple[str, ...], Confusion]:
    """Segment scenes and count pixels over the union of their classes.

    The mean IoU of the result is that of the whole set of scenes, not a mean over scenes.

    Args:
        segmenter: Labels each scene with that scene's own classes.
        scenes: At least one.
        progress: Called with scenes done and scenes in all.

    Returns:
        The names of the union and their confusion.

    Raises:
        InputError: A scene's files are missing, broken or do not fit together.
    """
    confusion = new_confusion(scenes)
    for done, result in enumerate(segment_scenes(segmenter, scenes), start=1):
        result.count_in(confusion)
        if progress is not None:
            progress(done, len(scenes))
    return confusion.names, confusion


def new_confusion(scenes: Sequence[Scene]) -> Confusion:
    """Return an empty confusion over the names of all scenes' classes, in order of appearance."""
    names = dict.fromkeys(name for scene in scenes for name in scene.names)
    return Confusion(tuple(names), ignored=_IGNORED)


def segment_scenes(segmenter: Segmenter, scenes: Sequence[Scene]) -> Iterator[SceneResult]:
    """Label scenes one after the other.

    Raises:
        InputError: A scene's files are missing, broken or do not fit together.
    """
    encoded_scenes = segmenter.encode_many(scene.image for scene in scenes)
    for scene, encoded in zip(scenes, encoded_scenes, strict=True):
        truth = scene.truth()
        if truth.shape != encoded.image.shape[:2]:
            raise InputError(
                f"{scene.labels} has {truth.shape[0]} x {truth.shape[1]} pixels, its picture "
                f"{encoded.image.shape[0]} x {encoded.image.shape[1]}."
            )
        yield SceneResult(scene, encoded.segment(vocabulary_of(scene)), encoded.image, truth)


def vocabulary_of(scene: Scene) -> Vocabulary:
    """Return a scene's classes as words; classes may share a synonym."""
    return Vocabulary.of(scene.classes, allow_shared_queries=True)
