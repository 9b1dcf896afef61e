"""Measure the time of one image by stage: read, resize, tower, texts, decode, write."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.harness import Options, Times, Work, measure
from benchmarks.results import Results, spread
from lhtclip.decoding.decode import decode
from lhtclip.encoder import DenseEncoder
from lhtclip.files import write_atomically
from lhtclip.image.pixels import read_image
from lhtclip.output.png import encode_labels
from lhtclip.segmenter import Segmenter
from lhtclip.text.vocabulary import Vocabulary

TOWER, DECODE = "tower", "decode"


@torch.inference_mode()
def stages_of(segmenter: Segmenter, path: Path, vocabulary: Vocabulary) -> dict[str, Work]:
    """Return every stage as a callable on the result of the previous stage.

    Args:
        segmenter: Its text embeddings are cached.
        path: The image; the result is written next to it.
        vocabulary: The classes.
    """
    image = read_image(path)
    encoded = segmenter.encode(path)
    result, plan = encoded.segment(vocabulary), encoded.plan

    def resize() -> Tensor:
        return plan.cut(segmenter.checkpoint.to_pixels(image, (plan.height, plan.width)))

    windows = resize()
    logits = encoded.embeddings @ segmenter.texts.encode(vocabulary.queries).T
    batch = segmenter.windows_at_once
    return {
        "read": partial(read_image, path),
        "resize, cut": resize,
        TOWER: partial(_run_tower, segmenter.encoder, windows, batch),
        "texts, cached": partial(segmenter.texts.encode, vocabulary.queries),
        DECODE: partial(
            decode,
            logits,
            plan,
            image.shape[:2],
            vocabulary.class_of_query,
            len(vocabulary.names),
            segmenter.decoding,
        ),
        "write": lambda: write_atomically(
            path.with_suffix(".png"), encode_labels(result.labels, result.colours)
        ),
    }


@torch.inference_mode()
def measure_stages(
    title: str,
    segmenter: Segmenter,
    path: Path,
    vocabulary: Vocabulary,
    options: Options,
    results: Results,
    *,
    budget: float,
) -> dict[str, Times]:
    """Measure every stage, add a table, and return the times by stage."""
    works = stages_of(segmenter, path, vocabulary)
    times = measure(works, budget=budget, device=options.device)
    whole = sum(each.median for each in times.values())
    results.table(
        f"{title}: our stages",
        ("stage", "time", "share"),
        [
            (name, spread(each), f"{100 * each.median / whole:.1f} %")
            for name, each in times.items()
        ],
    )
    return times


def _run_tower(encoder: DenseEncoder, windows: Tensor, batch: int) -> None:
    for part in windows.split(batch):
        encoder(part)
