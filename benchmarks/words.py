"""New words on an image that is encoded already: from words to labels, texts known.

`python -m benchmarks.words` asks a 512 × 683 image for 20, 60 and 150 classes.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.harness import Options, Work, measure, read_options
from benchmarks.materials import checkpoint_of, photo, sclip_protocol, segmenter_of
from benchmarks.results import Results, duration, spread
from lhtclip.encoder import DenseEncoder
from lhtclip.text.vocabulary import Vocabulary

BUDGET = 12.0  # seconds
SIZE = (512, 683)
CLASSES = (20, 60, 150)
GOAL = 0.06  # seconds for the first of them


def main(given: list[str] | None = None) -> Results:
    """Measure, print and save."""
    options, _ = read_options(__doc__, budget=BUDGET, dtypes="auto", given=given)
    results = Results("words", options)
    with TemporaryDirectory() as folder:
        _measure(options, results, Path(folder))
    results.save()
    return results


def _measure(options: Options, results: Results, folder: Path) -> None:
    checkpoint = checkpoint_of(
        options.model, folder=folder, dtype=options.fastest, device=options.device
    )
    protocol = sclip_protocol("ade20k")
    words = protocol.vocabulary()
    segmenter = segmenter_of(checkpoint, DenseEncoder(checkpoint.model), protocol, words, folder)
    encoded = segmenter.encode(photo(*SIZE))
    works: dict[str, Work] = {}
    for count in CLASSES:
        names = list(words.names[:count])
        works[f"{count} classes"] = partial(encoded.segment, names)
    works["checking 20 words alone"] = partial(Vocabulary.of, list(words.names[:20]))
    times = measure(works, budget=options.clock.left, device=options.device)
    results.keep("words", times)
    results.table(
        f"{options.model}, an encoded image of {SIZE[0]} × {SIZE[1]} pixels",
        ("", "words to labels"),
        [(name, spread(each)) for name, each in times.items()],
    )
    first = times[f"{CLASSES[0]} classes"].median
    results.goal(
        f"new words on an encoded {SIZE[0]}×{SIZE[1]} image, {CLASSES[0]} classes, text cached",
        f"under {duration(GOAL)} on 2 cores",
        duration(first),
        reached=first < GOAL,
    )


if __name__ == "__main__":
    main()
