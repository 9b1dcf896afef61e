"""A mapping job: the raster, its windows, and the frame of pixels to write."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from lhtclip.errors import InputError
from lhtclip.image.windows import WindowPlan, plan_windows
from lhtclip.maps.source import Source
from lhtclip.maps.strips import Side
from lhtclip.segmenter import Segmenter
from lhtclip.segmenter.memory import check_strip

STEPS = 250  # steps of a probability in a byte


@dataclass(frozen=True, slots=True)
class Job:
    """A raster, its windows, and the frame of the map's grid to write.

    Attributes:
        source: The open raster.
        plan: Windows over the scaled raster.
        down: Maps rows of windows to rows of the map.
        across: The same for columns.
        top: First row of the frame on the map's grid.
        left: First column of the frame on the map's grid.
        height: Rows of the frame.
        width: Columns of the frame.
        batch: Number of windows that are encoded together.
    """

    source: Source
    plan: WindowPlan
    down: Side
    across: Side
    top: int
    left: int
    height: int
    width: int
    batch: int

    @classmethod
    def of(cls, source: Source, segmenter: Segmenter) -> Job:
        """Place windows on a raster."""
        patch = segmenter.checkpoint.model.config.vision.patch_size
        if min(source.height, source.width) < patch:
            raise InputError(
                f"{source.path} has {source.height} x {source.width} pixels at this scale; a side "
                f"needs {patch} or more. Raise --scale."
            )
        settings = segmenter.windows
        check_strip(source.width, settings.window or 224)
        plan = plan_windows(
            source.height, source.width, window=settings.window or 224, stride=settings.stride
        )
        own = source.settings.grid == "source"
        batch = settings.at_once(segmenter.checkpoint.model.vision.device.type)
        final = (source.dataset.height, source.dataset.width)
        final = final if own else (source.height, source.width)
        down = Side(
            plan.tops, plan.window_height, source.height, plan.window_height // patch, final[0]
        )
        across = Side(
            plan.lefts, plan.window_width, source.width, plan.window_width // patch, final[1]
        )
        frame, share = source.frame, (1.0 if own else source.scale)
        top, left = int(frame.top * share), int(frame.left * share)
        bottom = min(final[0], max(top + 1, round((frame.top + frame.height) * share)))
        right = min(final[1], max(left + 1, round((frame.left + frame.width) * share)))
        return cls(source, plan, down, across, top, left, bottom - top, right - left, batch)

    @property
    def columns(self) -> range:
        """The columns of windows that the frame needs, extended to whole batches.

        Batches are counted from the raster's left edge. The other windows in a batch can change a
        window's last digits, so a part of a raster must use the batches of the whole.
        """
        first, behind = self.across.needed(self.left, self.left + self.width)
        whole = -(-behind // self.batch) * self.batch
        return range(first // self.batch * self.batch, min(whole, len(self.plan.lefts)))

    def strips(self) -> list[tuple[int, int]]:
        """Return first and last row + 1 of each strip, on the map's grid."""
        first, behind = self.down.needed(self.top, self.top + self.height)
        ends = [self.down.finished(row) for row in range(first, behind)]
        bottom = self.top + self.height
        bounds = [self.top, *(min(end, bottom) for end in ends if end > self.top)]
        return [(a, b) for a, b in pairwise(bounds) if a < b]

    @property
    def windows(self) -> int:
        """Number of windows that the frame needs."""
        first, behind = self.down.needed(self.top, self.top + self.height)
        return (behind - first) * len(self.columns)

    @property
    def transform(self) -> Any:
        """The transform from columns and rows of the frame to coordinates."""
        from affine import Affine

        data = self.source.dataset
        shrink = Affine.scale(data.width / self.across.final, data.height / self.down.final)
        return data.transform @ shrink @ translation(self.left, self.top)


def translation(columns: float, rows: float) -> Any:
    """Return the affine transform shifted by columns and rows."""
    from affine import Affine

    return Affine.translation(columns, rows)
