"""Does a head tell apart what the user's words, where they are sure, tell apart?

score = AUC in [0, 1] of the cosine similarity of head h's contributions predicting "same word",
over pairs of patches within and across the windows of a batch. A patch's word is the nearest one
to its embedding; the half of the patches with the higher probability of it take part.
"""

from __future__ import annotations

import torch
from torch import Tensor

from experiments.label_free_heads.observation import Observation
from experiments.label_free_heads.ranking import Ranking
from lhtclip.analysis.discriminability import UNLABELLED
from lhtclip.analysis.label_free import pseudo_label_auc
from lhtclip.errors import InputError

LOGIT_SCALE = 40.0  # on cosines before the softmax, as for segmentation


def score(seen: Observation) -> Tensor:
    """Return the agreement of each head with the words, (heads,).

    Raises:
        InputError: There are no words.
    """
    if seen.texts is None:
        raise InputError("The ranking 'words' needs words: give the names of your classes.")
    return pseudo_label_auc(seen.features, confident_words(seen.embeddings, seen.texts))


def confident_words(embeddings: Tensor, texts: Tensor) -> Tensor:
    """Return the nearest word of each patch that is among the surer half.

    Args:
        embeddings: (windows, patches, E), unit length.
        texts: (words, E), unit length.

    Returns:
        int64 (windows, patches), `UNLABELLED` where unsure.
    """
    probability, word = (LOGIT_SCALE * embeddings @ texts.T).softmax(dim=-1).max(dim=-1)
    half = probability.flatten().topk(-(-probability.numel() // 2)).indices
    labels = torch.full_like(word, UNLABELLED).flatten()
    labels[half] = word.flatten()[half]
    return labels.view(word.shape)


WORDS = Ranking(
    "words",
    "Where the words are sure they are mostly right, and that is a label.",
    score,
    needs_words=True,
)
