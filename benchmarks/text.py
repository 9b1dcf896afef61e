"""Embed texts: prompts padded to the longest of a batch, to the whole context, or from the cache.

`python -m benchmarks.text --names 16` embeds 16 of COCO-Stuff's 171 names with 80 prompts each; the
cache provides all 171.
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
from benchmarks.materials import TEMPLATES, checkpoint_of, clip_of, known_texts
from benchmarks.reference import usual_texts
from benchmarks.results import Results, dtype_name, duration, spread, times_as_fast
from lhtclip.text.embeddings import TextEncoder
from lhtclip.text.templates import resolve_templates
from lhtclip.text.vocabulary import shipped_classes

BUDGET = 50.0  # seconds
DATASET = "coco_stuff171"
PADDED_SHARE = 4  # one in this many of the names is embedded the usual way
FACTOR = 5  # times as fast as padded, the goal
CACHED = 0.05  # seconds for all names, the goal
PADDED, CUT = "padded, a name at a time", "ours"
DISK, MEMORY = "ours, from disk", "ours, from memory"


@torch.inference_mode()
def main(given: list[str] | None = None) -> Results:
    """Measure, print and save."""

    def more(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--names", type=int, help="how many of the 171, 16 by default")

    options, found = read_options(__doc__, budget=BUDGET, dtypes="float32", given=given, more=more)
    results = Results("text", options)
    with TemporaryDirectory() as folder:
        _measure(found.names or (4 if options.quick else 16), Path(folder), options, results)
    results.save()
    return results


def _measure(count: int, folder: Path, options: Options, results: Results) -> None:
    dtype = options.fastest
    checkpoint = checkpoint_of(options.model, folder=folder, dtype=dtype, device=options.device)
    names = [words[0] for words in shipped_classes(DATASET)]
    some, few = spaced(names, count), spaced(names, max(1, count // PADDED_SHARE))
    templates = resolve_templates(TEMPLATES)
    known = known_texts(checkpoint, names, folder)
    known.encode(names)

    def cold(queries: Sequence[str]) -> Tensor:
        return TextEncoder.of(checkpoint, templates=TEMPLATES, cache=False).encode(queries)

    def from_disk() -> Tensor:
        return TextEncoder.of(checkpoint, templates=TEMPLATES, cache=folder / "cache").encode(names)

    padded = partial(usual_texts, clip_of(checkpoint).text, checkpoint.tokenizer)
    works: dict[str, Work] = {
        PADDED: partial(padded, few, templates),
        CUT: partial(cold, some),
    }
    cached: dict[str, Work] = {DISK: from_disk, MEMORY: partial(known.encode, names)}
    difference = float((padded(few[:1], templates) - cold(few[:1])).abs().max())
    times = measure(works, budget=0.9 * options.clock.left, device=options.device)
    times |= measure(cached, budget=options.clock.left, device=options.device)
    counts = {PADDED: len(few), CUT: len(some), DISK: len(names), MEMORY: len(names)}
    _report(times, counts, f"{options.model}, {dtype_name(dtype)}", results)
    results.note(f"Padded and ours differ by {difference:.1e} at most.")


def _report(times: dict[str, Times], counts: dict[str, int], title: str, results: Results) -> None:
    total = counts[DISK]
    whole = {name: each.median / counts[name] * total for name, each in times.items()}
    rows = [
        (name, str(counts[name]), spread(each), duration(whole[name]))
        for name, each in times.items()
    ]
    header = ("", "names", "measured", f"{total} names, at that speed")
    results.table(f"{title}, 80 prompts a name", header, rows)
    factor = whole[PADDED] / whole[CUT]
    results.goal(
        f"text, {total} names × 80 templates, cold, against padded",
        f"≥ {FACTOR}×",
        times_as_fast(factor),
        reached=factor >= FACTOR,
    )
    results.goal(
        f"text, {total} names × 80 templates, cached on disk",
        f"≤ {duration(CACHED)}",
        duration(whole[DISK]),
        reached=whole[DISK] <= CACHED,
    )


def spaced(names: Sequence[str], count: int) -> list[str]:
    """Return this many names at even distances, so that short and long ones are included."""
    count = min(count, len(names))
    return [names[index * len(names) // count] for index in range(count)]


if __name__ == "__main__":
    main()
