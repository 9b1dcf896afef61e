"""Three methods on the same scenes, with one model and one set of class names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lhtclip.cli.console import Progress, print_path, print_table
from lhtclip.datasets import Dataset, Sample, Truth
from lhtclip.datasets.samples import labels_of_sample, labels_of_set, own_vocabulary, queries_of
from lhtclip.encoder import DenseEncoder
from lhtclip.evaluation.confusion import Confusion
from lhtclip.evaluation.streaming import count_samples
from lhtclip.files import write_atomically
from lhtclip.output.png import encode_picture
from lhtclip.output.side_by_side import compare_maps
from lhtclip.segmentation import Segmentation, ignored_label, label_dtype
from lhtclip.segmenter import Segmenter

_CHUNK = 8  # scenes per batch


@dataclass(frozen=True, slots=True)
class _Labelled:
    """A scene, its ground truth, and the result of one method."""

    sample: Sample
    truth: Truth
    result: Segmentation


def compare_methods(
    dataset: Dataset, out: Path, *, model: str, device: str, dtype: str, quiet: bool
) -> None:
    """Segment the scenes by every method; print the scores; write images and print their paths."""
    methods = _methods(Segmenter.from_pretrained(model, device=device, dtype=dtype))
    *_, best = methods.values()
    vocabulary = own_vocabulary(dataset)
    with Progress("prompts", quiet=quiet) as progress:
        best.texts.encode(queries_of(dataset, vocabulary), progress=progress)

    ignored = ignored_label(label_dtype(len(dataset.names)))
    confusions = {name: Confusion(dataset.names, ignored=ignored) for name in methods}
    runs = [
        count_samples(each, dataset.samples, vocabulary, _Labelled, chunk=_CHUNK, workers=1)
        for each in methods.values()
    ]
    written: list[Path] = []
    with Progress("scenes", quiet=quiet) as progress:
        for done, row in enumerate(zip(*runs, strict=True), start=1):
            for confusion, each in zip(confusions.values(), row, strict=True):
                confusion.add(each.truth, labels_of_set(each.sample, each.result.labels))
            written += _draw(tuple(methods), row, out)
            progress(done, len(dataset.samples))
    _print_scores(confusions)
    for path in written:
        print_path(path)


def _methods(lht: Segmenter) -> dict[str, Segmenter]:
    """Return plain CLIP, SCLIP and LHT-CLIP, which share everything but the method."""
    model = lht.checkpoint.model
    encoders = {
        "CLIP": DenseEncoder(model, method="clip"),
        "SCLIP": DenseEncoder(model, method="sclip", residual=False, mlp=False),
        "SCLIP + LHT": lht.encoder,
    }
    return {
        name: Segmenter(lht.checkpoint, encoder, lht.texts) for name, encoder in encoders.items()
    }


def _print_scores(confusions: dict[str, Confusion]) -> None:
    rows = [(name, f"{100 * confusion.mean_iou:.1f}") for name, confusion in confusions.items()]
    print_table(("method", "mIoU"), rows)


def _draw(methods: Sequence[str], row: Sequence[_Labelled], out: Path) -> list[Path]:
    """Write the overlay of the last method, and a comparison of all methods."""
    last = row[-1]
    image = last.result.image
    assert image is not None  # segmenters keep it
    maps = {"truth": labels_of_sample(last.sample, last.truth)} | {
        name: each.result.labels for name, each in zip(methods, row, strict=True)
    }
    sheet = compare_maps(image, maps, last.result.names, last.result.colours)
    pictures = {"overlay": last.result.overlay(), "compare": sheet}
    return [
        write_atomically(out / f"{last.sample.key}.{kind}.png", encode_picture(picture))
        for kind, picture in pictures.items()
    ]
