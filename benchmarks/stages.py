"""Where the time of one image goes: read, resize, tower, LHT, texts, decode, write."""

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
from lhtclip.image.pixels import read_image, to_pixels
from lhtclip.output.png import encode_labels
from lhtclip.segmenter import Segmenter
from lhtclip.techniques.settings import LhtSettings
from lhtclip.text.vocabulary import Vocabulary

TOWER = "tower"
WITH_LHT = "tower with LHT"


@torch.inference_mode()
def stages_of(
    segmenter: Segmenter, path: Path, vocabulary: Vocabulary, lht: LhtSettings | None
) -> dict[str, Work]:
    """Return every stage as a callable, fed with what the stage before it gave.

    Args:
        segmenter: Without techniques; its words are embedded already.
        path: The image; the result is written beside it.
        vocabulary: The words.
        lht: The techniques, for one more run of the tower; None for no such run.
    """
    image = read_image(path)
    found = segmenter.encode(path)
    result, plan = found.label(vocabulary), found.plan
    table = segmenter.checkpoint.model.vision.positions
    levels = segmenter.checkpoint.pixels

    def resize() -> Tensor:
        shape = (plan.height, plan.width)
        return plan.cut(
            to_pixels(
                image,
                shape,
                device=table.device,
                dtype=table.dtype,
                mean=levels.mean,
                std=levels.std,
            )
        )

    windows = resize()
    plain = segmenter.encoder
    texts = segmenter.texts.encode(vocabulary.queries)
    logits = found.embeddings @ texts.T
    batch = segmenter.windows.at_once(table.device.type)
    works: dict[str, Work] = {
        "read": partial(read_image, path),
        "resize, cut": resize,
        TOWER: partial(_run_tower, plain, windows, batch),
        "texts, known": partial(segmenter.texts.encode, vocabulary.queries),
        "decode": partial(
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
    if lht is not None:
        with_lht = DenseEncoder(
            segmenter.checkpoint.model,
            method=plain.method,
            lht=lht,
            residual=plain.residual,
            mlp=plain.mlp,
        )
        works[WITH_LHT] = partial(_run_tower, with_lht, windows, batch)
    return works


@torch.inference_mode()
def measure_stages(
    title: str,
    segmenter: Segmenter,
    path: Path,
    vocabulary: Vocabulary,
    lht: LhtSettings | None,
    options: Options,
    results: Results,
    *,
    budget: float,
) -> dict[str, Times]:
    """Measure every stage, add a table, and return the times by stage."""
    works = stages_of(segmenter, path, vocabulary, lht)
    times = measure(works, budget=budget, device=options.device)
    results.keep(f"{title}: stages", times)
    plain = {name: each for name, each in times.items() if name != WITH_LHT}
    whole = sum(each.median for each in plain.values())
    rows = [
        (name, spread(each), f"{100 * each.median / whole:.1f} %") for name, each in plain.items()
    ]
    if WITH_LHT in times:
        added = times[WITH_LHT].median - times[TOWER].median
        rows.append(("LHT, if on", f"{1000 * added:+.3g} ms", f"{100 * added / whole:+.1f} %"))
    results.table(f"{title}: stages of ours", ("stage", "time", "share"), rows)
    return times


def _run_tower(encoder: DenseEncoder, windows: Tensor, batch: int) -> None:
    for part in windows.split(batch):
        encoder(part)
