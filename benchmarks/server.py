"""Measure the server's micro-batches: requests per second by number of concurrent clients.

`python -m benchmarks.server` uses the server's scheduler without HTTP: each client sends its next
image when the last one is labelled. Images of one window show what batches gain: on a CPU, six
windows of one image fill a batch by themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Options, Work, measure, ratio, read_options
from benchmarks.materials import checkpoint_of, photo, sclip_protocol, segmenter_of
from benchmarks.results import Results, dtype_name, spread, times_as_fast
from lhtclip.encoder import DenseEncoder
from lhtclip.segmenter import Segmenter
from lhtclip.server.metrics import Metrics
from lhtclip.server.scheduler import Scheduler
from lhtclip.server.settings import ServerSettings
from lhtclip.text.vocabulary import Vocabulary

BUDGET = 40.0  # seconds
DATASET, SIZE = "voc21", (375, 500)
CLIENTS = (1, 8, 32)
REQUESTS = {"cpu": 8}  # by device type
REQUESTS_ELSEWHERE = 64
DIRECT = "one image after the other, no server"
ALONE, TOGETHER = "8 clients, images one by one", "8 clients, images in batches"

Images = Sequence[NDArray[np.uint8]]


def main(given: list[str] | None = None) -> Results:
    """Measure, print and save."""
    options, _ = read_options(__doc__, budget=BUDGET, dtypes="auto", given=given)
    results = Results("server", options)
    with TemporaryDirectory() as folder:
        _measure(options, results, Path(folder))
    results.save()
    return results


def _measure(options: Options, results: Results, folder: Path) -> None:
    checkpoint = checkpoint_of(
        options.model, folder=folder, dtype=options.fastest, device=options.device
    )
    protocol = sclip_protocol(DATASET)
    vocabulary = protocol.vocabulary()
    encoder = DenseEncoder(checkpoint.model, method="sclip")
    segmenter = segmenter_of(checkpoint, encoder, protocol, vocabulary, folder)
    count = 2 if options.quick else REQUESTS.get(options.device.type, REQUESTS_ELSEWHERE)
    images = [photo(*SIZE, seed=seed) for seed in range(count)]
    clients = [each for each in CLIENTS if each <= count]
    works: dict[str, Work] = {DIRECT: partial(_directly, segmenter, vocabulary, images)}
    for each in clients:
        works[f"clients: {each}"] = partial(_serve, segmenter, vocabulary, images, each)
    times = measure(works, budget=options.clock.left / 2, device=options.device)
    dtype = dtype_name(options.fastest)
    results.table(
        f"{options.model}, {dtype}, {count} images of {SIZE[0]} × {SIZE[1]} pixels",
        ("", "time", "images/s", "against one after the other"),
        [
            (
                name,
                spread(each),
                f"{count / each.median:.1f}",
                times_as_fast(ratio(times[DIRECT], each)),
            )
            for name, each in times.items()
        ],
    )
    _measure_batches(options, results, segmenter, vocabulary)
    factor = ratio(times[DIRECT], times[f"clients: {clients[-1]}"])
    results.goal(
        f"server, {clients[-1]} clients against one image after the other, {dtype}",
        "≥ 1.0×",
        times_as_fast(factor),
        reached=factor >= 1,
    )


def _measure_batches(
    options: Options, results: Results, segmenter: Segmenter, vocabulary: Vocabulary
) -> None:
    """Compare batches with images one by one, where each image is one window."""
    side = segmenter.windows.window
    small = segmenter.replace(windows=replace(segmenter.windows, short_side=side))
    images = [photo(side, side, seed=seed) for seed in range(4 if options.quick else 32)]
    works: dict[str, Work] = {
        ALONE: partial(_serve, small, vocabulary, images, 8, batch=1),
        TOGETHER: partial(_serve, small, vocabulary, images, 8),
    }
    times = measure(works, budget=options.clock.left, device=options.device)
    gain = times_as_fast(ratio(times[ALONE], times[TOGETHER]))
    results.table(
        f"{options.model}, {dtype_name(options.fastest)}, {len(images)} images of one window",
        ("", "time", "images/s"),
        [(name, spread(each), f"{len(images) / each.median:.1f}") for name, each in times.items()],
    )
    results.note(f"Batches of images of one window: {gain} as fast as one by one.")


def _directly(segmenter: Segmenter, vocabulary: Vocabulary, images: Images) -> None:
    for image in images:
        segmenter.segment(image, vocabulary)


def _serve(
    segmenter: Segmenter,
    vocabulary: Vocabulary,
    images: Images,
    clients: int,
    *,
    batch: int | None = None,
) -> None:
    """Start a scheduler as the server does, and distribute the images over the clients."""
    settings = ServerSettings()
    scheduler = Scheduler(
        limit=max(settings.queue, clients),
        batch=batch or settings.batch_images,
        delay=settings.batch_delay,
        timeout=settings.timeout,
        metrics=Metrics(),
    )

    def encode(images: Images) -> list[object]:
        return list(segmenter.encode_many(images))

    async def client(own: Images) -> None:
        for image in own:
            encoded = await scheduler.batch("model", image, encode)
            await scheduler.call(partial(encoded.segment, vocabulary))

    async def all_clients() -> None:
        await asyncio.gather(*(client(images[each::clients]) for each in range(clients)))

    try:
        asyncio.run(all_clients())
    finally:
        scheduler.close()
        scheduler.join(settings.timeout)


if __name__ == "__main__":
    main()
