"""A running softmax over prompts: at each pixel the winner so far, its logit, the normaliser."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_STEEP = 1e30  # makes any distance larger than any class index


@dataclass(frozen=True, slots=True)
class RunningWinner:
    """The winner among the prompts seen so far; everything float32 (height, width).

    Attributes:
        winner: Class of the best prompt, the first one if several are equally good.
        best: Its logit.
        total: Σ exp(logit - best) over the prompts, at least 1.
    """

    winner: Tensor
    best: Tensor
    total: Tensor

    @classmethod
    def none_yet(cls, size: tuple[int, int], device: torch.device) -> RunningWinner:
        """Return the state before any prompt: class 0 with a logit of -∞."""
        zeros = torch.zeros(size, device=device)
        return cls(zeros, torch.full_like(zeros, -torch.inf), zeros.clone())

    def __setitem__(self, part: tuple[slice, slice], winners: RunningWinner) -> None:
        """Replace a rectangle."""
        self.winner[part] = winners.winner
        self.best[part] = winners.best
        self.total[part] = winners.total

    def join(self, later: RunningWinner) -> RunningWinner:
        """Merge with later prompts, which win only if they are strictly better."""
        best = torch.maximum(self.best, later.best)
        return RunningWinner(
            torch.where(later.best > self.best, later.winner, self.winner),
            best,
            self.total * (self.best - best).exp() + later.total * (later.best - best).exp(),
        )

    def probability(self, overall: RunningWinner) -> Tensor:
        """Return the winner's softmax over all prompts in `overall`, in [0, 1]."""
        return (self.best - overall.best).exp_().div_(overall.total)


def find_winners(logits: Tensor, classes: Tensor) -> RunningWinner:
    """Find the winners in four sweeps that vectorise over pixels, which an argmax does not.

    A class is as good as its best prompt, so the best prompt decides. For every prompt, take its
    distance from the best logit, multiplied by a huge factor, plus its class index: the minimum is
    the class of the first prompt at distance zero.

    Args:
        logits: (prompts, height, width) float32; overwritten.
        classes: Class of each prompt, ascending, float32 (prompts, 1, 1).
    """
    best = logits.amax(dim=0)
    logits -= best
    winner = torch.add(classes, logits, alpha=-_STEEP).amin(dim=0)
    return RunningWinner(winner, best, logits.exp_().sum(dim=0))
