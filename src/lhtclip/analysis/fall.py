"""Find where visual discriminability falls towards the end of a tower; SSR acts there."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

SHARE = 0.15


def falling_layers(curve: Mapping[int, float], *, share: float = SHARE) -> tuple[int, ...]:
    """Return the layers from the first large loss after the peak.

    The fall is the difference between the highest value and the lowest one after it. The range
    starts at the first layer that loses `share` of the fall, or at the layer that loses most if
    none loses that much; it ends with the last layer given. On the curves in arXiv 2510.23894 this
    gives the layers that the paper reweights: 10-11 of ViT-B/16 on VOC and on Context, 20-23 of
    ViT-L/14 on VOC and on ADE.

    Args:
        curve: Visual discriminability by 1-based layer, for the layers before the last block.
        share: In (0, 1]; values from 0.135 to 0.16 give the paper's layers.

    Returns:
        Consecutive layers; none if no value after the peak is lower.
    """
    layers = sorted(curve)
    peak = max(layers, key=lambda layer: curve[layer])
    from_peak = layers[layers.index(peak) :]
    fall = curve[peak] - min(curve[layer] for layer in from_peak)
    if fall <= 0:
        return ()
    losses = {layer: curve[before] - curve[layer] for before, layer in pairwise(from_peak)}
    great = min(share * fall, max(losses.values()))
    first = next(layer for layer, loss in losses.items() if loss >= great)
    return tuple(layer for layer in from_peak if layer >= first)
