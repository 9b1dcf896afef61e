"""Encode windows row by row, and keep the logits of rows that are still needed.

A row is encoded in batches that depend only on its own windows. So the numbers are the same
whether the raster is labelled at once, in parts, or after an interruption.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lhtclip.image.pixels import to_pixels
from lhtclip.maps.job import Job
from lhtclip.segmenter import Segmenter

_COLUMNS = 4096  # normalised at once


class WindowRows:
    """Logits of window rows, computed in order."""

    def __init__(
        self,
        segmenter: Segmenter,
        job: Job,
        texts: Tensor,
        *,
        on_windows: Callable[[int], None] = lambda count: None,
    ) -> None:
        """Store what all rows share.

        Args:
            segmenter: Model and method.
            job: The raster and its windows.
            texts: Unit-length text embeddings (queries, E).
            on_windows: Called with the number of windows finished.
        """
        self._segmenter, self._source, self._plan = segmenter, job.source, job.plan
        self._columns, self._batch = job.columns, job.batch
        self._texts, self._on_windows = texts, on_windows
        self._kept: dict[int, Tensor] = {}
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="lhtclip-raster")
        self._next = None

    def get(self, first: int, behind: int) -> Tensor:
        """Return logits of rows `first` to `behind` - 1; earlier rows are dropped.

        Returns:
            Cosines (rows, columns, grid rows, grid columns, queries), float32, on the CPU.
        """
        for row in [row for row in self._kept if row < first]:
            del self._kept[row]
        for row in range(first, behind):
            if row not in self._kept:
                self._kept[row] = self._encode(row)
        return torch.stack([self._kept[row] for row in range(first, behind)])

    def close(self) -> None:
        """Stop reading ahead."""
        self._reader.shutdown(cancel_futures=True)

    @torch.inference_mode()
    def _encode(self, row: int) -> Tensor:
        strip, wanted = self._strip(row)
        plan, left = self._plan, self._plan.lefts[self._columns[0]]
        logits: list[Tensor] = []
        for start in range(0, len(wanted), self._batch):
            batch = range(start, min(start + self._batch, len(wanted)))
            starts = [plan.lefts[self._columns[i]] - left for i in batch if wanted[i]]
            if starts:
                pixels = torch.stack([strip[:, :, at : at + plan.window_width] for at in starts])
                logits.append((self._segmenter.runner(pixels) @ self._texts.T).cpu())
            self._on_windows(len(batch))
        return self._placed(logits, wanted)

    def _placed(self, logits: list[Tensor], wanted: list[bool]) -> Tensor:
        """Place the logits of windows in their columns; windows without valid pixels are zero."""
        patch = self._segmenter.checkpoint.model.config.vision.patch_size
        grid = (self._plan.window_height // patch, self._plan.window_width // patch)
        whole = torch.zeros(len(wanted), *grid, len(self._texts))
        if logits:
            whole[torch.tensor(wanted)] = torch.cat(logits)
        return whole

    def _strip(self, row: int) -> tuple[Tensor, list[bool]]:
        """Return the row read ahead, and start reading the one below."""
        if self._next is None or self._next[0] != row:
            self._next = (row, self._reader.submit(self._read, row))
        result = self._next[1].result()
        below = row + 1
        if below < len(self._plan.tops):
            self._next = (below, self._reader.submit(self._read, below))
        return result

    def _read(self, row: int) -> tuple[Tensor, list[bool]]:
        """Return normalised pixels of a row, (3, rows, columns), and which windows to encode."""
        plan, top = self._plan, self._plan.tops[row]
        left = plan.lefts[self._columns[0]]
        right = plan.lefts[self._columns[-1]] + plan.window_width
        bottom = top + plan.window_height
        spans = [(plan.lefts[c], plan.lefts[c] + plan.window_width) for c in self._columns]
        seen = self._source.seen(top, bottom, spans)
        if not any(seen):
            return torch.empty(0), seen
        levels = self._source.levels(top, bottom, left, right)
        parts = (levels[:, start : start + _COLUMNS] for start in range(0, right - left, _COLUMNS))
        return torch.cat([self._pixels(part) for part in parts], dim=2), seen

    def _pixels(self, levels: NDArray[np.uint8]) -> Tensor:
        tower, checkpoint = self._segmenter.checkpoint.model.vision, self._segmenter.checkpoint
        return to_pixels(
            np.ascontiguousarray(levels),
            levels.shape[:2],
            device=tower.device,
            dtype=tower.dtype,
            mean=checkpoint.pixels.mean,
            std=checkpoint.pixels.std,
        )
