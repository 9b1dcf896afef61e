"""Compare a checkpoint with every known answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lhtclip.checkpoints.checkpoint import Checkpoint
from lhtclip.errors import InputError, OutputError
from lhtclip.text.languages import is_chinese
from lhtclip.verify.answers import KnownAnswer, answers_for
from lhtclip.verify.data_sets import mean_iou
from lhtclip.verify.files import named_files
from lhtclip.verify.measures import MEASURES

_FILES = KnownAnswer(
    "weight files that differ from what their publisher named",
    "changed_weights",
    {},
    0,
    0.0,
    "SHA-256 by the hub, as the file's name in its cache, or by openai/CLIP clip/clip.py",
)
_TOKENS = tuple(
    KnownAnswer(f"tokens of {text!r}", "tokens", {"text": text}, ids, 0.0, source)
    for text, ids, source in (
        (
            "Hello World!",
            [49406, 3306, 1002, 256, 49407],
            "openai/CLIP notebooks/Interacting_with_CLIP.ipynb",
        ),
        (
            "a photo of a cat",
            [49406, 320, 1125, 539, 320, 2368, 49407],
            "elixir-nx/bumblebee test/bumblebee/multimodal/clip_test.exs (de2a2c9)",
        ),
    )
)
_CLIP_VOCABULARY = 49408  # tokens of OpenAI's tokenizer, which all CLIPs but SigLIP use
_FINITE = KnownAnswer(
    "features of images and texts have one length and are finite",
    "shapes_and_finiteness",
    {},
    [0, 1],
    0.0,
    "holds for every checkpoint",
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
_CHINESE_PREFERENCE = replace(
    _PREFERENCE, given={"texts": ["两只猫", "一只狗", "一辆汽车", "食物", "街道"]}
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


@dataclass(frozen=True, slots=True)
class Material:
    """What questions are about besides the model.

    Attributes:
        photo: Returns RGB levels (height, width, 3) of the public photo at an address, "" for the
            common one; called once for each, and only if a question needs it. Raises InputError or
            OutputError if the photo is not available.
        root: Folder of the data sets; None leaves out the questions on them.
        out: Folder of the counts of evaluations.
    """

    photo: Callable[[str], NDArray[np.uint8]]
    root: Path | None = None
    out: Path = Path("verify")


def questions(checkpoint: Checkpoint, *, data: bool = False) -> tuple[KnownAnswer, ...]:
    """Return all questions to a checkpoint, from its files to the photo and whole data sets.

    Args:
        checkpoint: The model.
        data: Include the questions on data sets.
    """
    known = answers_for(checkpoint.name)
    files = (_FILES,) if named_files(checkpoint.directory) else ()
    vocabulary = checkpoint.model.config.text.vocab_size
    tokens = _TOKENS if vocabulary == _CLIP_VOCABULARY else ()
    seen = any(each.measure.endswith(("_preferred", "photo_logits")) for each in known)
    preference = _CHINESE_PREFERENCE if is_chinese(checkpoint.tokenizer) else _PREFERENCE
    photo = () if seen else (preference,)
    last = tuple(each for each in known if each.needs == "data")
    before = tuple(each for each in known if each not in last)
    return (*files, *tokens, _FINITE, *before, *photo, *(last if data else ()))


def verify(checkpoint: Checkpoint, material: Material) -> Iterator[Verdict]:
    """Compare a checkpoint's answers with the known ones, one by one.

    Args:
        checkpoint: In float32 on the CPU.
        material: The photo, and data sets if there are any.
    """
    photos: dict[str, NDArray[np.uint8] | str] = {}  # or the reason why there is none
    for answer in questions(checkpoint, data=material.root is not None):
        levels: NDArray[np.uint8] | str | None = None
        if answer.needs == "photo":
            if answer.photo not in photos:
                photos[answer.photo] = _photo(material, answer.photo)
            levels = photos[answer.photo]
        if isinstance(levels, str):
            yield Verdict(answer, None, float("inf"), levels)
        elif answer.needs == "data":
            yield _on_data(checkpoint, answer, material)
        else:
            with torch.inference_mode():
                measured = MEASURES[answer.measure](checkpoint, levels, **answer.given)
            yield Verdict(answer, measured, difference(measured, answer.expected))


def _photo(material: Material, address: str) -> NDArray[np.uint8] | str:
    try:
        return material.photo(address)
    except (InputError, OutputError) as error:
        return str(error)


def _on_data(checkpoint: Checkpoint, answer: KnownAnswer, material: Material) -> Verdict:
    try:
        measured = mean_iou(checkpoint, material.root or Path(), material.out, **answer.given)
    except InputError as error:
        return Verdict(answer, None, float("inf"), str(error))
    return Verdict(answer, measured, difference(measured, answer.expected))


def difference(measured: Any, expected: Any) -> float:
    """Return the largest absolute difference; infinite for different shapes and for NaN."""
    first, second = np.asarray(measured, dtype=float), np.asarray(expected, dtype=float)
    if first.shape != second.shape:
        return float("inf")
    apart = np.abs(first - second)
    return float(apart.max()) if np.isfinite(apart).all() else float("inf")
