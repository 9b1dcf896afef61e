"""Compare a checkpoint with every known answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lhtclip.checkpoints.checkpoint import Checkpoint
from lhtclip.errors import InputError, OutputError
from lhtclip.verify.answers import KnownAnswer, answers_for
from lhtclip.verify.measures import MEASURES

_GENERAL = (
    KnownAnswer(
        "features of images and texts have the same length and are finite",
        "shapes_and_finiteness",
        {},
        [0, 1],
        0.0,
        "holds for every checkpoint",
    ),
)
_PREFERENCE = KnownAnswer(
    "a photo of two cats is most similar to its own name",
    "photo_preferred",
    {
        "texts": [
            "a photo of two cats",
            "a photo of a dog",
            "a photo of a car",
            "a photo of food",
            "a photo of a street",
        ]
    },
    0,
    0.0,
    "COCO val2017 000000039769",
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The comparison with one answer.

    Attributes:
        answer: Question and published answer.
        measured: Our answer, in JSON types; None if it could not be measured.
        difference: Largest absolute difference; infinite if shapes differ or a number is NaN.
        reason: Why it could not be measured.
    """

    answer: KnownAnswer
    measured: Any
    difference: float
    reason: str = ""

    @property
    def passed(self) -> bool | None:
        """Whether the answer is within the tolerance; None if it could not be measured."""
        return None if self.reason else self.difference <= self.answer.tolerance


def questions(name: str) -> tuple[KnownAnswer, ...]:
    """Return all questions to a checkpoint: general ones, published ones, and on the photo."""
    known = answers_for(name)
    seen = any(each.measure.endswith(("_preferred", "photo_logits")) for each in known)
    photo = () if seen else (_PREFERENCE,)
    return (*_GENERAL, *known, *photo)


def verify(checkpoint: Checkpoint, *, photo: Callable[[], NDArray[np.uint8]]) -> Iterator[Verdict]:
    """Compare a checkpoint's answers with the known ones, one by one.

    Args:
        checkpoint: In float32 on the CPU.
        photo: Returns RGB levels (height, width, 3) of the public photo; called once, and only if
            a question needs it. Raises InputError or OutputError if the photo is not available.
    """
    levels: NDArray[np.uint8] | None = None
    reason = ""
    for answer in questions(checkpoint.name):
        if answer.needs_image and levels is None and not reason:
            try:
                levels = photo()
            except (InputError, OutputError) as error:
                reason = str(error)
        if answer.needs_image and levels is None:
            yield Verdict(answer, None, float("inf"), reason)
            continue
        with torch.inference_mode():
            measured = MEASURES[answer.measure](checkpoint, levels, **answer.given)
        yield Verdict(answer, measured, difference(measured, answer.expected))


def difference(measured: Any, expected: Any) -> float:
    """Return the largest absolute difference; infinite for different shapes and for NaN."""
    first, second = np.asarray(measured, dtype=float), np.asarray(expected, dtype=float)
    if first.shape != second.shape:
        return float("inf")
    apart = np.abs(first - second)
    return float(apart.max()) if np.isfinite(apart).all() else float("inf")
