"""Which images of a run are read, and what comes of it: pixels and a digest, or a reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lhtclip.batch.chunks import Chunk
from lhtclip.batch.entries import Digest
from lhtclip.batch.plan import Job
from lhtclip.config import SegmenterConfig
from lhtclip.errors import InputError, reason_of
from lhtclip.image.pixels import read_image


@dataclass(frozen=True, slots=True)
class Source:
    """An image of a run on its way to the encoder.

    Attributes:
        job: The image, and its name among the results.
        chunk: Digest of its chunk.
        wanted: Whether its results are wanted; if not, it is only encoded along with its chunk.
    """

    job: Job
    chunk: str
    wanted: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """What an image file holds: digest of the file, and RGB levels (height, width, 3)."""

    digest: Digest
    pixels: NDArray[np.uint8]


def sources_of(
    chunk: Chunk, done: Mapping[Path, str], readable: Callable[[Job], bool]
) -> list[Source]:
    """Choose the images of a chunk to read.

    Where a chunk was interrupted, images that are done are read again: only with them do the others
    share the batches that they would have shared without the interruption.

    Args:
        chunk: The chunk.
        done: The images that are done, each with the digest of the chunk that it was labelled in.
        readable: Whether an image can be read; asked only where a chunk was interrupted.
    """
    waiting = {job for job in chunk.jobs if job.source not in done}
    companions = {job for job in chunk.jobs if done.get(job.source) == chunk.digest}
    if companions and not any(readable(job) for job in chunk.jobs if job in waiting):
        companions = set[Job]()
    return [
        Source(job, chunk.digest, wanted=job in waiting)
        for job in chunk.jobs
        if job in waiting or job in companions
    ]


def read(job: Job, config: SegmenterConfig) -> Content | str:
    """Read an image, or return the reason why it cannot be read."""
    try:
        if not job.source.is_file():
            return f"{job.source} is no regular file."
        digest = Digest.of_file(job.source)
        pixels = read_image(job.source, max_pixels=config.max_pixels, settings=config.reading)
    except InputError as error:
        return str(error)
    except OSError as error:
        return f"Cannot read {job.source}: {reason_of(error)}."
    return Content(digest, pixels)
