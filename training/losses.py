"""What captions teach an image, its class token and its patches; no pixel's label enters.

The words of a caption count in addition to the caption, as in GroupViT (arXiv 2202.11094).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

PATCH_WEIGHT, CAPTION_WEIGHT = 2.0, 0.5  # words of class tokens: 1
FOUND_SHARE = 0.2  # of the patches show what a caption mentions, about the size of a thing


@dataclass(frozen=True, slots=True)
class Said:
    """What captions say of the images of a batch.

    Attributes:
        texts: Captions to choose from, unit length, (captions, E).
        equal: bool (batch, captions), which of them mention the same as the image's own.
        words: All words, unit length, (words, E).
        mentioned: bool (batch, words), True at least once in a row.
        allowed: bool (batch, words), which words may be true of an image: those of its caption,
            and those on which a caption of its kind is silent.
    """

    texts: Tensor
    equal: Tensor
    words: Tensor
    mentioned: Tensor
    allowed: Tensor


def scene_loss(features: Sequence[Tensor], said: Said, scale: Tensor) -> Tensor:
    """Return the loss of the class token, whole and bare, and of the patches.

    Args:
        features: As from `training.model.image_features`.
        said: What the captions say.
        scale: Positive factor on the cosines.
    """
    whole, bare, patches = (F.normalize(x.float(), dim=-1) for x in features)
    loss = PATCH_WEIGHT * patch_loss(patches, said.words, scale, said.mentioned, said.allowed)
    for images in (whole, bare):
        loss = loss + CAPTION_WEIGHT * caption_loss(images, said.texts, scale, said.equal)
        loss = loss + word_loss(images, said.words, scale, said.mentioned, said.allowed)
    return loss


def caption_loss(images: Tensor, texts: Tensor, scale: Tensor, equal: Tensor) -> Tensor:
    """Return the cross-entropy of images over captions; all that mention the same are right.

    Args:
        images: unit length, (batch, E).
        texts: unit length, (captions, E).
        scale: Positive factor on the cosines.
        equal: bool (batch, captions), True at least once in a row.
    """
    targets = equal.float() / equal.sum(dim=1, keepdim=True)
    return F.cross_entropy(scale * images @ texts.T, targets)


def word_loss(
    images: Tensor, words: Tensor, scale: Tensor, mentioned: Tensor, allowed: Tensor
) -> Tensor:
    """Return the cross-entropy of images over words; all that the caption mentions are right.

    Args:
        images: unit length, (batch, E).
        words: unit length, (words, E).
        scale: Positive factor on the cosines.
        mentioned: bool (batch, words), True at least once in a row.
        allowed: bool (batch, words), as in `Said`. Words on which a caption is silent do not
            compete.
    """
    silent = allowed & ~mentioned
    targets = mentioned.float() / mentioned.sum(dim=1, keepdim=True)
    logits = (scale * images @ words.T).masked_fill(silent, torch.finfo(torch.float32).min)
    return F.cross_entropy(logits, targets)


def patch_loss(
    patches: Tensor, words: Tensor, scale: Tensor, mentioned: Tensor, allowed: Tensor
) -> Tensor:
    """Return how badly patches share out the words of a caption among them.

    Every patch has to show one of the allowed words, and every mentioned word has to be shown by
    some patches: the mean of -log P(allowed) over patches, plus the mean over mentioned words of
    -log of the mean of its highest probabilities, those of a share `FOUND_SHARE` of the patches. A
    smaller share lets the rest of a thing's patches show the material, which is allowed everywhere.

    Args:
        patches: unit length, (batch, N, E).
        words: unit length, (words, E).
        scale: Positive factor on the cosines.
        mentioned: bool (batch, words), True at least once in a row.
        allowed: bool (batch, words), as in `Said`.
    """
    log_probabilities = (scale * patches @ words.T).log_softmax(dim=-1)
    barred = ~allowed[:, None]
    shown = log_probabilities.masked_fill(barred, -torch.inf).logsumexp(dim=-1)
    image, word = mentioned.nonzero(as_tuple=True)
    count = max(1, round(FOUND_SHARE * patches.shape[1]))
    best = log_probabilities.transpose(1, 2)[image, word].topk(count, dim=-1).values
    found = best.logsumexp(dim=-1) - math.log(count)
    weight = 1 / mentioned.sum(dim=1)[image]
    return -shown.mean() - (weight * found).sum() / len(mentioned)
