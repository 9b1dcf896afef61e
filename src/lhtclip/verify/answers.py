"""Known answers as data: the question, the published answer, the tolerance."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

_FILE = "data/known_answers.json"
_ORDER = ("", "photo", "data")


@dataclass(frozen=True, slots=True)
class KnownAnswer:
    """A question to a checkpoint with a published answer.

    Attributes:
        what: The question, in a few words.
        measure: A name in `lhtclip.verify.measures.MEASURES`.
        given: The measure's arguments.
        expected: The published numbers, nested lists.
        tolerance: Largest absolute difference.
        source: Where the answer was published.
        photo: Address of the photo of a question on one; "" for the common one.
    """

    what: str
    measure: str
    given: dict[str, Any]
    expected: Any
    tolerance: float
    source: str
    photo: str = ""

    @property
    def needs(self) -> str:
        """What the question is about besides the model: "photo", "data", or nothing, ""."""
        kind = self.measure.partition("_")[0]
        return kind if kind in _ORDER else ""


def answers_for(name: str) -> tuple[KnownAnswer, ...]:
    """Return the known answers of a checkpoint; those on a photo come late, on data sets last.

    Args:
        name: Its name as returned by `lhtclip.checkpoints.hub.canonical_name`.
    """
    text = resources.files("lhtclip").joinpath(_FILE).read_text(encoding="utf-8")
    found = [KnownAnswer(**each) for each in json.loads(text).get(name, [])]
    return tuple(sorted(found, key=lambda answer: _ORDER.index(answer.needs)))
