"""Probabilities of all classes in a part of the image: a few pixels, a coarse map, or a band."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from lhtclip.decoding.interpolation import plan_axis
from lhtclip.image.windows import WindowPlan


def class_probabilities(
    logits: Tensor,
    plan: WindowPlan,
    size: tuple[int, int],
    class_of_query: tuple[int, ...],
    classes: int,
    *,
    rows: slice,
    columns: slice,
    others: Sequence[tuple[Tensor, WindowPlan]] = (),
) -> Tensor:
    """Return the probability of each class, as `decode` has them before thresholds.

    Args:
        logits: Scaled logits (window rows, window columns, grid rows, grid columns, queries).
        plan: Where those windows are in the resized image.
        size: Height and width of the whole result in pixels: the original image's, or fewer.
        class_of_query: Class of each query; a class may have none.
        classes: Number of classes.
        rows: The rows of the result that are wanted.
        columns: Its columns.
        others: Logits and windows of the same image at other scales, as for `decode`.

    Returns:
        (classes, rows, columns) float32 in [0, 1]: the maximum over the queries of a class; 0 for
        a class without queries.
    """
    scales = ((logits, plan), *others)
    mixed = reduce(torch.add, (_part(*each, size, rows, columns) for each in scales)) / len(scales)
    chances = mixed.softmax(dim=0)
    index = torch.tensor(class_of_query, device=chances.device)[:, None, None].expand_as(chances)
    best = chances.new_zeros(classes, *chances.shape[1:])
    return best.scatter_reduce(0, index, chances, "amax")


def _part(
    logits: Tensor, plan: WindowPlan, size: tuple[int, int], rows: slice, columns: slice
) -> Tensor:
    """Upsample the logits of one scale: (queries, rows, columns)."""
    grid = logits.shape[2:4]
    down = plan_axis(plan.tops, plan.window_height, plan.height, grid[0], size[0])
    across = plan_axis(plan.lefts, plan.window_width, plan.width, grid[1], size[1])
    tall, wide = down.band(rows), across.band(columns)
    stacked = logits.permute(4, 0, 2, 1, 3).flatten(3, 4).flatten(1, 2)
    near = stacked[:, down.order[tall]][:, :, across.order[wide]]
    return down.matrix[rows, tall].to(near) @ near @ across.matrix[columns, wide].T.to(near)
