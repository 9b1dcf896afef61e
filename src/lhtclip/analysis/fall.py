"""Where visual discriminability falls towards the end of a tower: there SSR holds layers back."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

SHARE = 0.15


def falling_layers(curve: Mapping[int, float], *, share: float = SHARE) -> tuple[int, ...]:
    """Return the layers from the first great loss behind the peak on.

    The fall is what lies between the highest value and the lowest one behind it. The first layer
    that loses `share` of it begins the range, or the one that loses most where none loses so much;
    the range ends with the last layer given. From the curves that arXiv 2510.23894 shows, this rule
    finds the layers that the paper reweights: 10-11 of ViT-B/16 on VOC and on Context, 20-23 of
    ViT-L/14 on VOC and on ADE.

    Args:
        curve: Visual discriminability by 1-based layer, of the layers before the last block.
        share: In (0, 1]; from 0.135 to 0.16 the paper's layers are found.

    Returns:
        Consecutive layers; none where nothing behind the peak is lower.
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
