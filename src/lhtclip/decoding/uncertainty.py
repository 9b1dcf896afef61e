"""How sure labels are: the margin of the best class over the second, and the entropy of all."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def margin(probabilities: Tensor) -> Tensor:
    """Return how much more probable the best class is than the second.

    Args:
        probabilities: Of each class (classes, ...), in [0, 1].

    Returns:
        (...) in [0, 1]; with a single class its probability.
    """
    if len(probabilities) == 1:
        return probabilities[0]
    best, second = probabilities.topk(2, dim=0).values
    return best - second


def entropy(probabilities: Tensor) -> Tensor:
    """Return the entropy of the classes as a share of the largest possible one.

    The probabilities are scaled to a sum of 1 first: where classes have several prompts, theirs is
    the best prompt's, and the sum is smaller.

    Args:
        probabilities: Of each class (classes, ...), in [0, 1].

    Returns:
        (...) in [0, 1]: 0 where one class is certain, 1 where all are equally probable.
    """
    if len(probabilities) == 1:
        return torch.zeros_like(probabilities[0])
    shares = probabilities / probabilities.sum(dim=0, keepdim=True)
    return torch.special.entr(shares).sum(dim=0).div_(math.log(len(shares))).clamp_(0, 1)
