"""Queries compete at every pixel: who leads, with which logit, and how strong all are together."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_STEEP = 1e30  # makes any deficit larger than any class number


@dataclass(frozen=True, slots=True)
class Lead:
    """Who leads at each pixel among some queries; all float32 (height, width).

    winner: The class of the first of the best queries.
    best: Its logit.
    total: Σ exp(logit - best) over the queries, at least 1.
    """

    winner: Tensor
    best: Tensor
    total: Tensor

    @classmethod
    def of_nobody(cls, size: tuple[int, int], device: torch.device) -> Lead:
        """Return the lead before any query came: class 0, infinitely weak."""
        zeros = torch.zeros(size, device=device)
        return cls(zeros, torch.full_like(zeros, -torch.inf), zeros.clone())

    def __setitem__(self, part: tuple[slice, slice], lead: Lead) -> None:
        """Put in a rectangle."""
        self.winner[part] = lead.winner
        self.best[part] = lead.best
        self.total[part] = lead.total

    def join(self, later: Lead) -> Lead:
        """Join with queries after these, which win only where they are better."""
        best = torch.maximum(self.best, later.best)
        return Lead(
            torch.where(later.best > self.best, later.winner, self.winner),
            best,
            self.total * (self.best - best).exp() + later.total * (later.best - best).exp(),
        )

    def probability(self, everyone: Lead) -> Tensor:
        """Return the winner's softmax among everyone, in [0, 1]."""
        return (self.best - everyone.best).exp_().div_(everyone.total)


def compete(logits: Tensor, classes: Tensor) -> Lead:
    """Find the leaders by four sweeps that vectorise over pixels, which an argmax does not.

    A class is as good as its best query, so the class of the best query of all leads. Of a
    query's deficit, steeply enlarged, plus the number of its class, the least is the class of the
    first query without deficit.

    Args:
        logits: (queries, height, width) float32; overwritten.
        classes: Class of each query, ascending, float32 (queries, 1, 1).
    """
    best = logits.amax(dim=0)
    logits -= best
    winner = torch.add(classes, logits, alpha=-_STEEP).amin(dim=0)
    return Lead(winner, best, logits.exp_().sum(dim=0))
