"""The AUC over all pairs of labelled patches, which the package only samples."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from sklearn.metrics import roc_auc_score
from torch import Tensor

from lhtclip.analysis.discriminability import UNLABELLED


def pair_auc(features: Tensor, labels: Tensor) -> float:
    """Features (patches, width), labels (patches,); unlabelled patches do not count."""
    kept = labels != UNLABELLED
    features, labels = F.normalize(features[kept].double(), dim=-1), labels[kept]
    first, second = torch.triu_indices(len(labels), len(labels), offset=1)
    similarity = (features @ features.T)[first, second]
    return float(roc_auc_score(labels[first] == labels[second], similarity))
