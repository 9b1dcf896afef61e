"""Labels millions of images on a Ray cluster; needs `pip install 'lhtclip[ray]'`.

Ray Data moves the work: tasks read and decode images, actors label them, tasks write the results.
`SegmentBatches` is the piece for pipelines of your own.
"""

from __future__ import annotations

from lhtclip.ray.batches import SegmentBatches

__all__ = ["SegmentBatches"]
