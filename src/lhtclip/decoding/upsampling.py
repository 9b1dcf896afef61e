"""Logits of windows to logits of pixels, part by part: two matrices for one scale of an image."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from lhtclip.decoding.interpolation import Axis, plan_axis
from lhtclip.image.windows import WindowPlan


@dataclass(frozen=True, slots=True)
class Upsampling:
    """The logits of one scale, and how they become pixels of a rectangle of the original image.

    Attributes:
        stacked: Scaled logits (Q, rows, columns), patches of all windows sorted by position.
        rows: From stacked to original, vertically.
        columns: From stacked to original, horizontally.
        down: The matrix of `rows` on the logits' device, (height, rows).
        across: The matrix of `columns` on the logits' device, (columns, width).
    """

    stacked: Tensor
    rows: Axis
    columns: Axis
    down: Tensor
    across: Tensor

    @classmethod
    def of(
        cls,
        logits: Tensor,
        plan: WindowPlan,
        size: tuple[int, int],
        down: tuple[int, int],
        across: tuple[int, int],
    ) -> Upsampling:
        """Move everything to the logits' device, for a rectangle of the original image.

        Args:
            logits: (window rows, window columns, grid rows, grid columns, Q).
            plan: Where those windows are in the resized image.
            size: Height and width of the original image in pixels.
            down: The rectangle's first row, and the one behind its last.
            across: The same of its columns.
        """
        grid, device = logits.shape[2:4], logits.device
        rows = plan_axis(plan.tops, plan.window_height, plan.height, grid[0], size[0], part=down)
        columns = plan_axis(
            plan.lefts, plan.window_width, plan.width, grid[1], size[1], part=across
        )
        stacked = logits.permute(4, 0, 2, 1, 3).flatten(3, 4).flatten(1, 2)
        stacked = stacked.index_select(1, rows.order.to(device))
        stacked = stacked.index_select(2, columns.order.to(device))
        vertical, horizontal = rows.matrix.to(stacked), columns.matrix.T.contiguous().to(stacked)
        return cls(stacked, rows, columns, vertical, horizontal)

    def only(self, queries: Tensor) -> Upsampling:
        """Keep the prompts with these indices only."""
        return replace(self, stacked=self.stacked.index_select(0, queries))

    def tall(self, down: slice) -> Tensor:
        """Upsample some rows vertically: (Q · rows, columns of the stacked logits)."""
        band = self.rows.band(down)
        return (self.down[down, band] @ self.stacked[:, band]).flatten(0, 1)

    def tile(self, tall: Tensor, across: slice) -> Tensor:
        """Upsample some columns of tall rows horizontally: (Q · rows, columns)."""
        band = self.columns.band(across)
        return tall[:, band] @ self.across[band, across]

    def planes(self, queries: slice, down: slice) -> Tensor:
        """Return whole rows of the rectangle for some prompts: (queries, rows, width)."""
        return self.down[down] @ (self.stacked[queries] @ self.across)
