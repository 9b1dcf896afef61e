"""Three methods on the same scenes, with one model and one set of class names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lhtclip.cli.console import Progress, print_path, print_table, say
from lhtclip.datasets import Dataset, Sample, Truth
from lhtclip.datasets.samples import labels_of_sample, labels_of_set, own_vocabulary, queries_of
from lhtclip.encoder import DenseEncoder
from lhtclip.evaluation.confusion import Confusion
from lhtclip.evaluation.streaming import count_samples
from lhtclip.files import write_atomically
from lhtclip.output.contact_sheet import contact_sheet
from lhtclip.output.overlay import draw_classes
from lhtclip.output.png import encode_picture
from lhtclip.output.side_by_side import compare_maps
from lhtclip.segmentation import Segmentation, ignored_label, label_dtype
from lhtclip.segmenter import Segmenter

_CHUNK = 8  # scenes per batch
_THUMBNAIL = 120  # pixels, height of a panel on the contact sheet

LabelMap: TypeAlias = NDArray[np.integer[Any]]


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
    panels: list[dict[str, Image.Image]] = []
    with Progress("scenes", quiet=quiet) as progress:
        for done, row in enumerate(zip(*runs, strict=True), start=1):
            for confusion, each in zip(confusions.values(), row, strict=True):
                confusion.add(each.truth, labels_of_set(each.sample, each.result.labels))
            maps = _maps(tuple(methods), row)
            written += _draw(row[-1], maps, out)
            panels.append(_panels(row[-1].result, maps))
            progress(done, len(dataset.samples))
    sheet = encode_picture(contact_sheet(panels))
    written.append(write_atomically(out / "contact-sheet.png", sheet))
    _print_scores(confusions)
    for path in written:
        print_path(path)
    if not quiet:
        say("Try your own words on a page: lhtclip serve")


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


def _maps(methods: Sequence[str], row: Sequence[_Labelled]) -> Mapping[str, LabelMap]:
    """Return the label maps of one scene by title, the ground truth first."""
    last = row[-1]
    return {"ground truth": labels_of_sample(last.sample, last.truth)} | {
        name: each.result.labels for name, each in zip(methods, row, strict=True)
    }


def _draw(last: _Labelled, maps: Mapping[str, LabelMap], out: Path) -> list[Path]:
    """Write the overlay of the last method, and a comparison of all methods."""
    result = last.result
    sheet = compare_maps(_image(result), maps, result.names, result.colours)
    pictures = {"overlay": result.overlay(), "compare": sheet}
    return [
        write_atomically(out / f"{last.sample.key}.{kind}.png", encode_picture(picture))
        for kind, picture in pictures.items()
    ]


def _panels(result: Segmentation, maps: Mapping[str, LabelMap]) -> dict[str, Image.Image]:
    """Return the row of one scene on the contact sheet, small enough to keep them all."""
    image = _image(result)
    panels = {"image": Image.fromarray(image)} | {
        title: draw_classes(image, labels, result.colours, opacity=0.6)
        for title, labels in maps.items()
    }
    for panel in panels.values():
        panel.thumbnail((4 * _THUMBNAIL, _THUMBNAIL))
    return panels


def _image(result: Segmentation) -> NDArray[np.uint8]:
    assert result.image is not None  # segmenters keep it
    return result.image
