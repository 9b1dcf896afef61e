"""A label-free ranking: a score for every head, from a batch of images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from experiments.label_free_heads.observation import Observation


@dataclass(frozen=True, slots=True)
class Ranking:
    """A measure of heads; its mean over batches ranks them.

    Attributes:
        name: As in `RANKINGS`.
        reason: Why good heads should score high, in one line.
        score: Scores of all heads on a batch, float32 (heads,), higher is better; NaN if the batch
            has nothing to compare.
        needs_words: Whether it reads the user's words.
    """

    name: str
    reason: str
    score: Callable[[Observation], Tensor]
    needs_words: bool = False
