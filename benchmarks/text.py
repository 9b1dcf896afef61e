"""Texts: prompts cut at the longest of a batch, the usual padding, and the cache on disk.

`python -m benchmarks.text --names 16` embeds that many of COCO-Stuff's 171 names with 80 prompts
each; all 171 come from the cache.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from benchmarks.harness import Options, Times, Work, measure, read_options
from benchmarks.materials import (
    TEMPLATES,
    checkpoint_of,
    clip_of,
    known_texts,
)
from benchmarks.reference import usual_texts
from benchmarks.results import Results, dtype_name, duration, spread, times_as_fast
from lhtclip.checkpoints.checkpoint import Checkpoint
from lhtclip.text.embeddings import TextEncoder
from lhtclip.text.templates import resolve_templates
from lhtclip.text.vocabulary import shipped_classes

BUDGET = 50.0  # seconds
DATASET = "coco_stuff171"
PADDED_SHARE = 4  # of the names asked for, one in so many is embedded the usual way
FACTOR = 5  # times as fast as padded
CACHED = 0.05  # seconds for all names
PADDED, CUT, DISK, MEMORY = (
    "padded, a name at a time",
    "ours",
    "ours, from disk",
    "ours, from memory",
)


@torch.inference_mode()
def main(given: list[str] | None = None) -> Results:
    """Measure, print and save."""

    def more(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--names", type=int, help="how many of the 171, 16 by default")

    options, found = read_options(__doc__, budget=BUDGET, dtypes="float32", given=given, more=more)
    results = Results("text", options)
    with TemporaryDirectory() as folder:
        for index, dtype in enumerate(options.dtypes):
            budget = options.clock.left / (len(options.dtypes) - index)
            checkpoint = checkpoint_of(
                options.model, folder=Path(folder), dtype=dtype, device=options.device
            )
            names = found.names or (4 if options.quick else 16)
            _measure(checkpoint, names, Path(folder), options, results, budget=budget)
    results.save()
    return results


def _measure(
    checkpoint: Checkpoint,
    count: int,
    folder: Path,
    options: Options,
    results: Results,
    *,
    budget: float,
) -> None:
    queries = [words[0] for words in shipped_classes(DATASET)]
    some, few = spaced(queries, count), spaced(queries, max(1, count // PADDED_SHARE))
    text, tokenizer = clip_of(checkpoint).text, checkpoint.tokenizer
    templates = resolve_templates(TEMPLATES)
    known = known_texts(checkpoint, queries, folder)
    known.encode(queries)

    def cold(queries: Sequence[str]) -> Tensor:
        return TextEncoder.of(checkpoint, templates=TEMPLATES, cache=False).encode(queries)

    works: dict[str, Work] = {
        PADDED: partial(usual_texts, text, tokenizer, few, templates),
        CUT: partial(cold, some),
    }
    cached: dict[str, Work] = {
        DISK: lambda: TextEncoder.of(
            checkpoint, templates=TEMPLATES, cache=folder / "cache"
        ).encode(queries),
        MEMORY: partial(known.encode, queries),
    }
    difference = float(
        (usual_texts(text, tokenizer, few[:1], templates) - cold(few[:1])).abs().max()
    )
    times = measure(works, budget=0.9 * budget, device=options.device)
    times |= measure(cached, budget=0.1 * budget, device=options.device)
    dtype = dtype_name(text.positions.dtype)
    results.keep(dtype, times)
    names = {PADDED: len(few), CUT: len(some), DISK: len(queries), MEMORY: len(queries)}
    _report(times, names, len(queries), f"{options.model}, {dtype}", results)
    results.note(f"Padded and ours differ by {difference:.1e} at the most.")


def _report(
    times: dict[str, Times], names: dict[str, int], count: int, title: str, results: Results
) -> None:
    whole = {name: each.median / names[name] * count for name, each in times.items()}
    rows = [
        (name, str(names[name]), spread(each), duration(whole[name]))
        for name, each in times.items()
    ]
    results.table(
        f"{title}, 80 prompts a name",
        ("", "names", "measured", f"{count} names, at that speed"),
        rows,
    )
    factor = whole[PADDED] / whole[CUT]
    results.goal(
        f"text, {count} names × 80 templates, cold, against padded",
        f"{FACTOR}× faster",
        times_as_fast(factor),
        reached=factor >= FACTOR,
    )
    results.goal(
        f"text, {count} names × 80 templates, cached on disk",
        f"under {duration(CACHED)}",
        duration(whole[DISK]),
        reached=whole[DISK] < CACHED,
    )


def spaced(queries: Sequence[str], count: int) -> list[str]:
    """Return so many of the queries, at even distances: short names and long ones."""
    count = min(count, len(queries))
    return [queries[index * len(queries) // count] for index in range(count)]


if __name__ == "__main__":
    main()
