"""Maps of what the techniques measure in an encoded image, one value per patch."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from lhtclip.encoded_image import EncodedImage
from lhtclip.errors import InputError
from lhtclip.server.schemas import ViewAnswer, ViewRequest
from lhtclip.techniques.atr import hoyer


@torch.inference_mode()
def view(encoded: EncodedImage, asked: ViewRequest) -> ViewAnswer:
    """Return a map of values from 0 to 1, one per patch.

    "hoyer" is the sparsity that ATR is based on (arXiv 2510.23894), here of the patch embeddings;
    "similarity" is the cosine of the patch at (x, y) to all others.

    Raises:
        InputError: The point lies outside the image.
    """
    grid = patch_grid(encoded)  # (rows, columns, E)
    if asked.kind == "hoyer":
        values = hoyer(grid)
    else:
        height, width = encoded.image.shape[:2]
        if not (asked.x < width and asked.y < height):
            raise InputError(
                f"The point ({asked.x}, {asked.y}) lies outside the image of {width} x {height}."
            )
        rows, columns = grid.shape[:2]
        values = grid @ grid[asked.y * rows // height, asked.x * columns // width]
    return _answer(asked.kind, values.float().cpu().numpy())


def patch_grid(encoded: EncodedImage) -> torch.Tensor:
    """Arrange the windows' patches in one grid; where windows overlap, the nearest one counts.

    Returns:
        (rows, columns, E) float32.
    """
    plan = encoded.plan
    patch = plan.window_height // encoded.embeddings.shape[2]
    rows, columns = plan.height // patch, plan.width // patch
    tops = _owners(plan.tops, plan.window_height, rows, patch)
    lefts = _owners(plan.lefts, plan.window_width, columns, patch)
    windows = encoded.embeddings
    row_in = torch.tensor([(r * patch - plan.tops[w]) // patch for r, w in enumerate(tops)])
    column_in = torch.tensor([(c * patch - plan.lefts[w]) // patch for c, w in enumerate(lefts)])
    row_in = row_in.clamp(0, windows.shape[2] - 1)
    column_in = column_in.clamp(0, windows.shape[3] - 1)
    down, across = torch.tensor(tops), torch.tensor(lefts)
    return windows[down[:, None], across, row_in[:, None], column_in].float()


def _owners(starts: tuple[int, ...], length: int, count: int, patch: int) -> list[int]:
    """Return the window with the nearest centre for each patch along a side."""
    centres = np.array(starts) + length / 2
    places = np.arange(count) * patch + patch / 2
    return [int(each) for each in np.abs(places[:, None] - centres).argmin(axis=1)]


def _answer(kind: str, values: NDArray[np.float32]) -> ViewAnswer:
    lowest, highest = float(values.min()), float(values.max())
    spread = max(highest - lowest, 1e-9)
    scaled = np.round((values - lowest) / spread, 4)
    return ViewAnswer(
        kind=kind,
        rows=values.shape[0],
        columns=values.shape[1],
        lowest=lowest,
        highest=highest,
        values=[[float(value) for value in row] for row in scaled],
    )
