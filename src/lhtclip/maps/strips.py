"""Find which window rows complete which rows of the map, and their patches' weights per pixel.

Blending and resizing windows are linear and separable (see `lhtclip.decoding.decode`). So a row of
the map needs only the window rows that cover it, and finished rows can be written and dropped.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import torch
from torch import Tensor

from lhtclip.decoding.interpolation import bilinear_matrix


@dataclass(frozen=True, slots=True)
class Side:
    """One axis of the raster: its windows, and how they become pixels of the map.

    Attributes:
        starts: Where windows begin in the scaled raster, pixels.
        window: Length of a window, pixels.
        scaled: Length of the scaled raster, pixels.
        grid: Patches of a window.
        final: Length of the map's grid over the whole raster, pixels.
    """

    starts: tuple[int, ...]
    window: int
    scaled: int
    grid: int
    final: int

    def needed(self, begin: int, end: int) -> tuple[int, int]:
        """Return the range of windows that reach pixels of the map, first and last + 1."""
        first, last = self._scaled(begin)[0], self._scaled(end - 1)[1]
        return bisect_right(self.starts, first - self.window), bisect_right(self.starts, last)

    def finished(self, window: int) -> int:
        """Return how many pixels of the map are final after a window."""
        if window + 1 == len(self.starts):
            return self.final
        limit = self.starts[window + 1]  # the first scaled pixel that a later window touches
        low, high = 0, self.final
        while low < high:  # the first pixel of the map that needs it
            middle = (low + high) // 2
            if self._scaled(middle)[1] >= limit:
                high = middle
            else:
                low = middle + 1
        return low

    def shares(self, begin: int, end: int) -> tuple[Tensor, Tensor]:
        """Return the weights of patches in pixels `begin` to `end` of the map.

        Returns:
            Indices of patches (patches,), counted through the windows from `needed`, sorted by
            position; and their weights, float32 (pixels, patches). Every row sums to 1.
        """
        first, behind = self.needed(begin, end)
        starts = self.starts[first:behind]
        places = (torch.arange(begin, end, dtype=torch.float64) + 0.5) * (self.scaled / self.final)
        places = (places - 0.5).clamp(0, self.scaled - 1)
        low = places.floor().long()
        high = (low + 1).clamp_max(self.scaled - 1)
        base = int(low[0])
        rows = self._averaged(starts, base, int(high[-1]) + 1)
        weights = (places - low)[:, None]
        matrix = torch.lerp(rows[low - base], rows[high - base], weights)
        centres = torch.arange(0.5, self.grid, dtype=torch.float64) * (self.window / self.grid)
        order = (torch.tensor(starts)[:, None] + centres).flatten().argsort(stable=True)
        matrix = matrix[:, order]
        used = (matrix != 0).any(dim=0).nonzero().flatten()
        band = slice(int(used[0]), int(used[-1]) + 1)
        return order[band], matrix[:, band].float()

    def _averaged(self, starts: tuple[int, ...], begin: int, end: int) -> Tensor:
        """Average the windows' upsampled patches in scaled pixels `begin` to `end`."""
        upsample = bilinear_matrix(self.grid, self.window)
        rows = torch.zeros(end - begin, len(starts) * self.grid, dtype=torch.float64)
        for i, start in enumerate(starts):
            top, bottom = max(start, begin), min(start + self.window, end)
            if top < bottom:
                own = upsample[top - start : bottom - start]
                rows[top - begin : bottom - begin, i * self.grid : (i + 1) * self.grid] = own
        return rows / rows.sum(dim=1, keepdim=True)

    def _scaled(self, pixel: int) -> tuple[int, int]:
        """Return the two scaled pixels that a pixel of the map lies between."""
        place = min(max((pixel + 0.5) * (self.scaled / self.final) - 0.5, 0), self.scaled - 1)
        return int(place), min(int(place) + 1, self.scaled - 1)
