"""Known answers as data: the question, the published answer, the tolerance."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

_FILE = "data/known_answers.json"


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
    """

    what: str
    measure: str
    given: dict[str, Any]
    expected: Any
    tolerance: float
    source: str

    @property
    def needs_image(self) -> bool:
        """Whether the question is about a public image."""
        return self.measure.startswith("photo_")


def answers_for(name: str) -> tuple[KnownAnswer, ...]:
    """Return the known answers of a checkpoint; those that need no image come first.

    Args:
        name: Its name as returned by `lhtclip.checkpoints.hub.canonical_name`.
    """
    text = resources.files("lhtclip").joinpath(_FILE).read_text(encoding="utf-8")
    found = [KnownAnswer(**each) for each in json.loads(text).get(name, [])]
    return tuple(sorted(found, key=lambda answer: answer.needs_image))
