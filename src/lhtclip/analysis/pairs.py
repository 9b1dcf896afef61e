"""ROC-AUC over patch pairs of many images and many measures at once, in bounded memory.

Pairs are drawn at random within each batch of images, the same ones for every measure. When there
are too many, half of them are dropped at random, and half as many are drawn from then on. So the
kept pairs are always a uniform sample of all pairs, and their AUC is an unbiased estimate.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from lhtclip.analysis.discriminability import UNLABELLED

GROUPS = 20  # of batches, for the confidence interval
NORMAL_95 = 1.96


@dataclass(frozen=True, slots=True)
class Estimate:
    """An AUC in [0, 1] with the bounds of its 95 % confidence interval.

    The interval is a jackknife over groups of batches, because pairs of one batch are dependent;
    NaN for fewer than two batches. `positives` and `negatives` count the compared pairs.
    """

    auc: float
    low: float
    high: float
    positives: int
    negatives: int


@dataclass(slots=True)
class _Pool:
    """Scores of the pairs of one kind, and the batch of each."""

    rate: float = math.nan  # share of all pairs of this kind that are drawn
    batches: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))
    scores: dict[str, Tensor] = field(default_factory=dict[str, Tensor])

    def append(self, batch: int, scores: dict[str, Tensor]) -> None:
        for name, new in scores.items():
            self.scores[name] = torch.cat([self.scores.get(name, new[:0]), new])
        count = max((len(new) for new in scores.values()), default=0)
        self.batches = torch.cat([self.batches, torch.full((count,), batch)])

    def thin(self, generator: torch.Generator) -> None:
        kept = torch.rand(len(self.batches), generator=generator) < 0.5
        self.batches = self.batches[kept]
        self.scores = {name: scores[kept] for name, scores in self.scores.items()}
        self.rate /= 2


class PairAuc:
    """Collects pairs batch by batch; `estimates` is available at any time."""

    def __init__(self, *, limit: int = 40_000, per_batch: int = 4_000, seed: int = 0) -> None:
        """Start empty.

        Args:
            limit: Maximum pairs of each kind, same class and different class.
            per_batch: Pairs of each kind drawn from the first batch; it sets the rate for all.
            seed: Decides which pairs are drawn.
        """
        self._limit, self._per_batch = limit, per_batch
        self._generator = torch.Generator().manual_seed(seed)
        self._same, self._different = _Pool(), _Pool()
        self._batch = -1

    def add(self, labels: Tensor, features: Iterable[tuple[str, Tensor]]) -> None:
        """Draw pairs from a batch of images.

        Args:
            labels: Class of each patch of the batch, integers (patches,); `UNLABELLED` patches
                do not count.
            features: (patches, width) by name of the measure; the same names in every batch.
        """
        self._batch += 1
        places = (labels.cpu() != UNLABELLED).nonzero()[:, 0]
        equal = labels.cpu()[places]
        drawn = [
            (self._same, *self._draw_same(equal), dict[str, Tensor]()),
            (self._different, *self._draw_different(equal), dict[str, Tensor]()),
        ]
        for name, values in features:
            for _, first, second, scores in drawn:
                one, other = (values[places[side].to(values.device)] for side in (first, second))
                cosine = F.cosine_similarity(one.float(), other.float(), dim=-1)
                scores[name] = cosine.cpu()
        for pool, _, _, scores in drawn:
            pool.append(self._batch, scores)
            while len(pool.batches) > self._limit:
                pool.thin(self._generator)

    def estimates(self) -> dict[str, Estimate]:
        """Return the AUC of every measure; NaN if there is no pair of one kind."""
        same, different = self._same, self._different
        return {
            name: _estimate(scores, same.batches, different.scores[name], different.batches)
            for name, scores in same.scores.items()
        }

    def _count(self, pool: _Pool, pairs: float) -> int:
        """Return how many of a batch's pairs to draw, so that the mean rate is exact."""
        if math.isnan(pool.rate) and pairs:
            pool.rate = self._per_batch / pairs
        wanted = pool.rate * pairs if pairs else 0.0
        chance = float(torch.rand(1, generator=self._generator))
        return math.floor(wanted) + (chance < wanted % 1)

    def _draw_same(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Draw pairs of different patches of one class, every such pair equally likely."""
        order = labels.argsort(stable=True)
        _, sizes = labels[order].unique_consecutive(return_counts=True)
        weights = (sizes * (sizes - 1) / 2).double()
        count = self._count(self._same, float(weights.sum()))
        if not count:
            return order[:0], order[:0]
        chosen = torch.multinomial(weights, count, replacement=True, generator=self._generator)
        size, start = sizes[chosen], (sizes.cumsum(0) - sizes)[chosen]
        first = self._below(size)
        second = (first + 1 + self._below(size - 1)) % size
        return order[start + first], order[start + second]

    def _draw_different(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Draw pairs of patches of two classes, every such pair equally likely."""
        total = len(labels)
        sizes = labels.unique(return_counts=True)[1]
        pairs = (total**2 - int((sizes**2).sum())) / 2
        count = self._count(self._different, pairs)
        first = second = torch.empty(0, dtype=torch.long)
        while len(first) < count:  # pairs of one class are redrawn
            one = torch.randint(total, (2 * count,), generator=self._generator)
            other = torch.randint(total, (2 * count,), generator=self._generator)
            differ = labels[one] != labels[other]
            first, second = torch.cat([first, one[differ]]), torch.cat([second, other[differ]])
        return first[:count], second[:count]

    def _below(self, bounds: Tensor) -> Tensor:
        """Return a random integer from 0 to below each bound."""
        shares = torch.rand(bounds.shape, generator=self._generator, dtype=torch.float64)
        return (shares * bounds).long()


def _estimate(
    positive: Tensor, positive_batches: Tensor, negative: Tensor, negative_batches: Tensor
) -> Estimate:
    if not len(positive) or not len(negative):
        return Estimate(math.nan, math.nan, math.nan, len(positive), len(negative))
    groups = min(GROUPS, int(torch.cat([positive_batches, negative_batches]).max()) + 1)
    rows, columns = positive_batches % groups, negative_batches % groups
    wins = torch.zeros(groups, groups, dtype=torch.float64)  # of positives of g over negatives of h
    for group in range(groups):
        rivals = negative[columns == group].sort().values
        below = torch.searchsorted(rivals, positive)
        not_above = torch.searchsorted(rivals, positive, right=True)
        beaten = (below + not_above).double() / 2  # ties count half
        wins[:, group] = torch.zeros(groups, dtype=torch.float64).index_add(0, rows, beaten)
    positives, negatives = rows.bincount(minlength=groups), columns.bincount(minlength=groups)
    auc = float(wins.sum() / (positives.sum() * negatives.sum()))
    left_out = wins.sum() - wins.sum(0) - wins.sum(1) + wins.diagonal()
    left_out /= (positives.sum() - positives) * (negatives.sum() - negatives)
    spread = (groups - 1) / groups * (left_out - left_out.mean()).square().sum()
    margin = NORMAL_95 * math.sqrt(float(spread)) if groups > 1 else math.nan
    low, high = (min(max(auc + sign * margin, 0.0), 1.0) for sign in (-1, 1))
    bounds = (low, high) if groups > 1 else (math.nan, math.nan)
    return Estimate(auc, *bounds, int(positives.sum()), int(negatives.sum()))
