"""Features of the image tower on a batch of unlabelled images.

All rankings use the same record, so a batch runs through the tower twice, unchanged and moved, for
any number of rankings. Nothing is kept between batches.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lhtclip.analysis.alignment import shortcut_embeddings
from lhtclip.analysis.label_free import heads_before as heads_before
from lhtclip.analysis.trace import trace
from lhtclip.clip.towers import ImageTower

CUT = 4  # a moved window lacks a quarter of its rows and of its columns


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """A batch of windows, seen by all heads of the layers before the last.

    Patches lie row by row. Features of a head have the angles and lengths of its contribution
    (`head_features`).

    Attributes:
        pixels: normalised, (windows, 3, height, width), cut to whole patches.
        grid: Rows and columns of patches.
        features: (heads, windows, patches, head width) float32, heads in the order of
            `heads_before`.
        moved: The same for windows cut at the top and the left and mirrored, with patches back in
            the order of the image: (heads, windows, patches left, head width).
        left: The patches in `moved`, int64 (patches left,).
        embeddings: In the space of the texts, unit length, (windows, patches, E): the values of the
            last block, as dense methods read them.
        texts: Embeddings of the user's words, unit length, (words, E), or None.
    """

    pixels: Tensor
    grid: tuple[int, int]
    features: Tensor
    moved: Tensor
    left: Tensor
    embeddings: Tensor
    texts: Tensor | None


def observe(vision: ImageTower, pixels: Tensor, *, texts: Tensor | None = None) -> Observation:
    """Run a batch through the tower, unchanged and moved.

    Args:
        vision: The image tower.
        pixels: normalised, (windows, 3, height, width), at least two patches in each direction.
        texts: Embeddings of the user's words, unit length, (words, E).
    """
    (rows, columns), side = vision.grid(pixels), vision.config.patch_size
    pixels = pixels[..., : rows * side, : columns * side]
    top, first = -(-rows // CUT), -(-columns // CUT)  # rounded up, so that something is cut
    moved = pixels[..., top * side :, first * side :].flip(-1)
    places = torch.arange(rows * columns, device=pixels.device).view(rows, columns)
    layers, entering = _features(vision, pixels)
    return Observation(
        pixels=pixels,
        grid=(rows, columns),
        features=layers,
        moved=_mirrored(_features(vision, moved)[0], columns - first),
        left=places[top:, first:].flatten(),
        embeddings=shortcut_embeddings(vision, entering),
        texts=None if texts is None else texts.to(pixels.device).float(),
    )


def _features(vision: ImageTower, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the heads' features and the patch tokens that enter the last block."""
    features: list[Tensor] = []
    for step in trace(vision, pixels):
        if step.layer == len(vision.blocks):
            return torch.cat(features), step.entering[:, step.class_tokens :]
        features.append(step.head_features.transpose(0, 1))
    raise AssertionError("a tower has a last block")


def _mirrored(features: Tensor, columns: int) -> Tensor:
    """Swap left and right of patches that lie row by row on the axis before the last."""
    return features.unflatten(-2, (-1, columns)).flip(-2).flatten(-3, -2)
