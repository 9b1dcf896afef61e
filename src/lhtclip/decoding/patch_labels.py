"""One label per patch instead of per pixel, for each window alone: the first pass of two.

ResCLIP's semantic feedback (SFR, arXiv 2411.15851) starts from these.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lhtclip.decoding.decode import decode
from lhtclip.decoding.pamr import PamrSettings
from lhtclip.decoding.settings import DecodeSettings
from lhtclip.image.windows import WindowPlan


def label_patches(
    embeddings: Tensor,
    texts: Tensor,
    pixels: Tensor,
    *,
    patch: int,
    logit_scale: float,
    threshold: float,
    pamr: PamrSettings | None = None,
) -> Tensor:
    """Give each patch the prompt that most of its pixels have, for each window alone.

    Args:
        embeddings: (windows, rows, columns, E), of unit length.
        texts: (prompts, E), of unit length.
        pixels: Normalised windows, (windows, 3, height, width); PAMR follows their edges.
        patch: Side of a patch in pixels.
        logit_scale: Factor on the cosines before the softmax.
        threshold: A pixel whose winner has less than this probability counts as prompt 0.
        pamr: How the logits are refined; None as published.

    Returns:
        Indices of prompts, (windows, rows, columns); the lowest of equally frequent ones.
    """
    height, width = pixels.shape[-2:]
    window = WindowPlan(height, width, (0,), (0,), height, width)
    queries = len(texts)
    how = DecodeSettings(logit_scale, threshold, pamr=pamr or PamrSettings())
    logits = embeddings @ texts.to(embeddings).T
    labels: list[Tensor] = []
    for own, image in zip(logits, pixels, strict=True):
        found, _ = decode(
            own[None, None],
            window,
            (height, width),
            tuple(range(queries)),
            queries,
            how,
            image=image,
        )
        labels.append(most_frequent(torch.from_numpy(found).to(own.device), patch, queries))
    return torch.stack(labels)


def most_frequent(labels: Tensor, patch: int, queries: int) -> Tensor:
    """Return the most frequent label of each whole patch, the lowest of equally frequent ones.

    Args:
        labels: (height, width), from 0 to queries - 1.
        patch: Side of a patch in pixels.
        queries: Number of possible labels.

    Returns:
        (height // patch, width // patch).
    """
    blocks = labels.unfold(0, patch, patch).unfold(1, patch, patch).flatten(2)
    counts = torch.zeros(*blocks.shape[:2], queries, dtype=torch.int32, device=labels.device)
    return counts.scatter_add_(2, blocks, torch.ones_like(blocks, dtype=torch.int32)).argmax(dim=2)
