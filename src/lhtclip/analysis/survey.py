"""Measure all layers and heads in one pass over labelled images: the paper's analysis.

Visual discriminability of every layer and head, and semantic alignment of every layer before the
last (arXiv 2510.23894 §3).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lhtclip.analysis.alignment import correct_patches, shortcut_embeddings
from lhtclip.analysis.compare import best_first
from lhtclip.analysis.pairs import Estimate, PairAuc
from lhtclip.analysis.trace import LayerTrace, trace
from lhtclip.clip.towers import ImageTower
from lhtclip.techniques.atr import AtrSettings, hoyer, replace_abnormal
from lhtclip.techniques.she import Head
from lhtclip.techniques.ssr import SsrSettings


@dataclass(frozen=True, slots=True, eq=False)
class PatchBatch:
    """Windows of the tower's own size, from one or more images.

    Attributes:
        pixels: Normalised, (windows, 3, side, side).
        labels: Class of each patch, int64 (windows, rows, columns); `UNLABELLED` if no class fills
            it, or its pixels are ignored.
        offered: Classes that each window may be labelled with, bool (windows, classes).
    """

    pixels: Tensor
    labels: Tensor
    offered: Tensor


@dataclass(frozen=True, slots=True)
class Survey:
    """Results of a pass, by 1-based layer and by (layer, head).

    Attributes:
        layers: Visual discriminability of the residual stream after each layer.
        heads: The same for each head's contribution.
        alignment: Share of patches whose nearest prompt is right, in [0, 1], for the layers before
            the last; empty without prompts.
    """

    layers: dict[int, Estimate]
    heads: dict[Head, Estimate]
    alignment: dict[int, float]

    def ranking(self) -> tuple[Head, ...]:
        """Return the heads of the layers before the last, best first: the candidates of SHE."""
        last = max(self.layers)
        aucs = {head: estimate.auc for head, estimate in self.heads.items() if head[0] < last}
        return tuple(best_first(aucs))


@torch.inference_mode()
def survey(
    vision: ImageTower,
    batches: Iterable[PatchBatch],
    *,
    words: tuple[Tensor, Tensor] | None = None,
    ssr: SsrSettings | None = None,
    atr: AtrSettings | None = None,
    seed: int = 0,
) -> Survey:
    """Measure all layers and heads.

    Args:
        vision: The image tower.
        batches: Labelled windows; pairs are drawn within a batch, so a batch should have windows of
            several images.
        words: Embeddings of all prompts (prompts, E) and the class of each (prompts,).
        ssr: Reweight layers, to see its effect on the curves.
        atr: Replace abnormal tokens inside each head's contribution, by its own Hoyer score.
        seed: Decides which pairs are compared.
    """
    layers, heads = PairAuc(seed=seed), PairAuc(seed=seed)
    right: dict[int, int] = {}
    counted = 0
    for batch in batches:
        labels = batch.labels.flatten(1)
        streams: list[tuple[str, Tensor]] = []
        contributions: list[tuple[str, Tensor]] = []
        for step in trace(vision, batch.pixels, ssr=ssr):
            streams.append((str(step.layer), step.patches.flatten(0, 1)))
            contributions += _heads(step, vision.grid(batch.pixels), atr)
            if words is not None and step.layer < len(vision.blocks):
                found = shortcut_embeddings(vision, step.patches)
                correct, total = correct_patches(found, *words, labels, offered=batch.offered)
                right[step.layer] = right.get(step.layer, 0) + correct
                counted += total if step.layer == 1 else 0
        layers.add(labels.flatten(), streams)
        heads.add(labels.flatten(), contributions)
    return Survey(
        layers={int(name): estimate for name, estimate in layers.estimates().items()},
        heads={_head(name): estimate for name, estimate in heads.estimates().items()},
        alignment={layer: correct / max(counted, 1) for layer, correct in right.items()},
    )


def _heads(
    step: LayerTrace, grid: tuple[int, int], atr: AtrSettings | None
) -> Iterator[tuple[str, Tensor]]:
    """Yield a layer's heads by name, with ATR if requested; keeps the contribution's angles."""
    features = step.head_features
    outputs = step.head_outputs[:, :, step.class_tokens :]
    for head, feature in enumerate(features.unbind(1)):
        if atr is not None:
            contribution = step.block.attention.contributions(outputs, [head])[:, 0]
            abnormal = hoyer(contribution) > atr.threshold
            feature = replace_abnormal(feature, grid, atr, abnormal=abnormal)
        yield f"{step.layer}-{head + 1}", feature.flatten(0, 1)


def _head(name: str) -> Head:
    layer, head = name.split("-")
    return int(layer), int(head)
