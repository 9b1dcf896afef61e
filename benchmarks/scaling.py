"""How the cost grows with windows, pixels, classes and images.

`python -m benchmarks.scaling`: growth is the factor in time over the factor in size, against the
first row of each table; 1 means in proportion, less means that something fixed is shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.harness import Options, Work, measure, read_options
from benchmarks.materials import checkpoint_of, known_texts, photo, sclip_protocol
from benchmarks.results import Results, dtype_name, spread
from lhtclip.encoder import DenseEncoder
from lhtclip.segmenter import Segmenter
from lhtclip.text.vocabulary import Vocabulary

BUDGET = 45.0  # seconds
SHORT_SIDES = (224, 336, 560)
SIDES = (256, 512, 1024, 2048)  # of a square image that is decoded
CLASSES = (10, 50, 250, 1000)
IMAGES = (1, 2, 4)
SIZE = (375, 500)


def main(given: list[str] | None = None) -> Results:
    """Measure, print and save."""
    options, _ = read_options(__doc__, budget=BUDGET, dtypes="auto", given=given)
    results = Results("scaling", options)
    with TemporaryDirectory() as folder:
        checkpoint = checkpoint_of(
            options.model, folder=Path(folder), dtype=options.fastest, device=options.device
        )
        words = Vocabulary.of([f"word {number}" for number in range(max(CLASSES))])
        texts = known_texts(checkpoint, words.queries, Path(folder))
        texts.encode(words.queries)
        segmenter = Segmenter(checkpoint, DenseEncoder(checkpoint.model), texts)
        _measure(segmenter, words, options, results)
    results.save()
    return results


def _measure(segmenter: Segmenter, words: Vocabulary, options: Options, results: Results) -> None:
    few = sclip_protocol("voc20").vocabulary()
    few = Vocabulary.of(list(words.names[: len(few.names)]))
    table = partial(_table, options, results)
    image = photo(*SIZE)

    by_windows: list[tuple[str, float, Work]] = []
    for short_side in SHORT_SIDES[:2] if options.quick else SHORT_SIDES:
        own = Segmenter(
            segmenter.checkpoint,
            segmenter.encoder,
            segmenter.texts,
            windows=replace(segmenter.windows, short_side=short_side),
        )
        count = own.encode(image).plan.count
        by_windows.append((f"{count} (short side {short_side})", count, partial(own.encode, image)))
    table("Tower: windows of an image", "windows", by_windows, 0.4)

    by_pixels: list[tuple[str, float, Work]] = []
    for side in SIDES[:2] if options.quick else SIDES:
        encoded = segmenter.encode(photo(side, side))
        by_pixels.append((f"{side} × {side}", side * side, partial(encoded.label, few)))
    table(f"Decode: pixels of an image, {len(few.names)} classes", "pixels", by_pixels, 0.3)

    encoded = segmenter.encode(image)
    by_classes: list[tuple[str, float, Work]] = []
    for count in CLASSES[:2] if options.quick else CLASSES:
        some = Vocabulary.of(list(words.names[:count]))
        by_classes.append((str(count), count, partial(encoded.label, some)))
    table(f"Decode: classes, {SIZE[0]} × {SIZE[1]} pixels", "classes", by_classes, 0.4)

    by_images: list[tuple[str, float, Work]] = []
    for count in IMAGES[:2] if options.quick else IMAGES:
        by_images.append((str(count), count, partial(_label_all, segmenter, [image] * count, few)))
    table(f"Levels to labels: images of {SIZE[0]} × {SIZE[1]} pixels", "images", by_images, 0.9)


def _table(
    options: Options,
    results: Results,
    title: str,
    what: str,
    entries: Sequence[tuple[str, float, Work]],
    share: float,
) -> None:
    """Measure entries (name, size, work) with a share of the time left, and add a table."""
    works = {name: work for name, _, work in entries}
    times = measure(works, budget=share * options.clock.left, device=options.device)
    results.keep(title, times)
    smallest = entries[0][1]
    rows = [
        (
            name,
            spread(times[name]),
            f"{times[name].median / times[entries[0][0]].median / (count / smallest):.2f}",
        )
        for name, count, _ in entries
    ]
    title = f"{title} ({options.model}, {dtype_name(options.fastest)})"
    results.table(title, (what, "time", "growth"), rows)


def _label_all(segmenter: Segmenter, images: Sequence[object], words: Vocabulary) -> None:
    for encoded in segmenter.encode_many(images):  # pyright: ignore[reportArgumentType]
        encoded.label(words)


if __name__ == "__main__":
    main()
