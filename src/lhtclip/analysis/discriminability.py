"""Visual discriminability: are patches of one class similar in a layer or a head?

Measured as ROC-AUC of the cosine similarity of patch pairs, within and across images, predicting
whether both show the same class (PACL, arXiv 2212.04994, as used in arXiv 2510.23894 §3).
"""

from __future__ import annotations

import torch
from torch import Tensor

UNLABELLED = -1


def patch_labels(labels: Tensor, patch: int, *, purity: float = 0.75) -> Tensor:
    """Give each patch the class that fills it; mixed patches get none.

    Args:
        labels: Class of every pixel, integers (batch, height, width).
        patch: Side of a patch in pixels.
        purity: Least share of a patch that one class must fill, in (0.5, 1].

    Returns:
        int64 (batch, rows, columns) of whole patches; `UNLABELLED` if no class fills it.
    """
    rows, columns = labels.shape[1] // patch, labels.shape[2] // patch
    cut = labels[:, : rows * patch, : columns * patch].unflatten(2, (columns, patch))
    pixels = cut.unflatten(1, (rows, patch)).permute(0, 1, 3, 2, 4).flatten(3).long()
    most_common = pixels.mode(dim=-1).values
    share = (pixels == most_common[..., None]).float().mean(dim=-1)
    return torch.where(share >= purity, most_common, UNLABELLED)
