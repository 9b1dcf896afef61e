"""Reports of a run: a JSON document per data set, and one Markdown page for all of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lhtclip.datasets import DATASETS
from lhtclip.evaluation.confusion import Confusion
from lhtclip.evaluation.machine import hardware, versions
from lhtclip.evaluation.protocol import Protocol
from lhtclip.evaluation.runner import Evaluation
from lhtclip.output.markdown import markdown_table
from lhtclip.segmenter import Segmenter

Document = dict[str, Any]


def describe(
    evaluation: Evaluation,
    segmenter: Segmenter,
    protocol: Protocol,
    *,
    model: str,
    published: int | None,
    deviations: Mapping[str, Any],
) -> Document:
    """Describe a run in JSON types.

    Args:
        evaluation: The result of a run with a folder.
        segmenter: The segmenter.
        protocol: The protocol that the settings come from.
        model: The model's name as typed.
        published: The publisher's number of images; None if unknown.
        deviations: The settings that differ from the protocol.

    Returns:
        Shares are in [0, 1]; None if there is nothing to measure.
    """
    encoder = segmenter.encoder
    return {
        "dataset": evaluation.dataset.name,
        "images": evaluation.images,
        "published_images": published,
        **measured(
            evaluation.confusion,
            evaluation.trimap,
            images=evaluation.images,
            seconds=evaluation.seconds,
        ),
        "model": model,
        "method": {
            "name": encoder.method.name,
            "source": encoder.method.source,
            "techniques": str(encoder.lht),
            "residual": encoder.residual,
            "mlp": encoder.mlp,
        },
        "protocol": protocol.describe(),
        "deviations": dict(deviations),
        "settings": dict(evaluation.settings),
        "versions": versions(),
        "hardware": hardware(segmenter.checkpoint.model.vision.device),
    }


def measured(
    confusion: Confusion, trimap: Confusion | None, *, images: int, seconds: float
) -> Document:
    """Return the part of a run's description that its counts decide; see `describe`."""
    return {
        "images": images,
        "mean_iou": _share(confusion.mean_iou),
        "pixel_accuracy": _share(confusion.pixel_accuracy),
        "trimap_mean_iou": _share(trimap.mean_iou) if trimap else None,
        "classes": _classes(confusion, trimap),
        "seconds": seconds,
        "images_per_second": images / max(seconds, 1e-9),
    }


def in_paper_order(documents: Sequence[Document]) -> list[Document]:
    """Sort by the columns of the publications' tables; other data sets follow in their order."""
    order = {name: place for place, name in enumerate(DATASETS)}
    return sorted(documents, key=lambda document: order.get(document["dataset"], len(order)))


def average(documents: Sequence[Document]) -> float | None:
    """Mean of the mean IoUs over the publications' eight data sets; None unless all are there.

    Other data sets do not count.
    """
    values = {document["dataset"]: document["mean_iou"] for document in documents}
    eight = [values.get(name) for name in DATASETS]
    known = [value for value in eight if value is not None]
    return sum(known) / len(known) if len(known) == len(eight) else None


def summary(documents: Sequence[Document]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return header and rows of a table: a row for each data set, and one for their average."""
    shown = _shown(documents)
    header = ("data set", *shown)
    rows = [
        (document["dataset"], *(show(document) for show in shown.values()))
        for document in in_paper_order(documents)
    ]
    if (mean := average(documents)) is not None:
        rows.append(("average", percent(mean), *("" for _ in header[2:])))
    return header, rows


def markdown(documents: Sequence[Document]) -> str:
    """Write the page: results with a column for each data set, settings, and classes."""
    documents = in_paper_order(documents)
    first = documents[0]
    names = [document["dataset"] for document in documents]
    parts = [
        "# Evaluation",
        markdown_table(("", ""), _circumstances(first)),
        "## Results",
        _results(documents),
        "## Settings",
        markdown_table(("", *names), _settings(documents)),
        *_deviations(documents),
        "## Classes",
    ]
    for document in documents:
        with_trimap = document["trimap_mean_iou"] is not None
        columns = {"IoU %": "iou"} | ({"trimap IoU %": "trimap_iou"} if with_trimap else {})
        rows = [
            (entry["name"], *(percent(entry[key]) for key in columns.values()))
            for entry in document["classes"]
        ]
        parts += [f"### {document['dataset']}", markdown_table(("class", *columns), rows)]
    return "\n\n".join(parts) + "\n"


def percent(share: float | None) -> str:
    """Write a share in [0, 1] as a percentage with two decimals, and a dash for None."""
    return "-" if share is None else f"{100 * share:.2f}"


def _images(document: Document) -> str:
    images, published = document["images"], document["published_images"]
    return str(images) if published in (None, images) else f"{images} of {published}"


_TRIMAP = "trimap mIoU %"

# The columns of a table, for each data set.
_ROWS: dict[str, Callable[[Document], str]] = {
    "mIoU %": lambda document: percent(document["mean_iou"]),
    "pixel accuracy %": lambda document: percent(document["pixel_accuracy"]),
    _TRIMAP: lambda document: percent(document["trimap_mean_iou"]),
    "images": _images,
    "images/s": lambda document: f"{document['images_per_second']:.2f}",
}


def _shown(documents: Sequence[Document]) -> dict[str, Callable[[Document], str]]:
    """Return the rows to show: the trimap only if it was requested."""
    if any(document["trimap_mean_iou"] is not None for document in documents):
        return _ROWS
    return {title: show for title, show in _ROWS.items() if title != _TRIMAP}


def _results(documents: Sequence[Document]) -> str:
    mean = average(documents)
    header = ("", *(document["dataset"] for document in documents))
    rows = [
        (title, *(show(document) for document in documents))
        for title, show in _shown(documents).items()
    ]
    if mean is not None:
        header = (*header, "average")
        first, *others = rows
        rows = [(*first, percent(mean)), *((*row, "") for row in others)]
    return markdown_table(header, rows)


def _circumstances(document: Document) -> list[tuple[str, str]]:
    """Return the settings that all data sets of a run share."""
    method, settings = document["method"], document["settings"]
    machine, released = document["hardware"], document["versions"]
    kept = [f"{'with' if method[part] else 'without'} {part}" for part in ("residual", "mlp")]
    place = machine["gpu"] or machine["cpu"]
    return [
        ("model", f"{document['model']}, image tower {settings['image_tower'][:12]}"),
        ("method", f"{method['name']}, techniques: {method['techniques']}, {', '.join(kept)}"),
        ("protocol", document["protocol"]["publication"]),
        ("source", document["protocol"]["source"]),
        ("device", f"{place}, {machine['threads']} threads, {settings['dtype']}"),
        ("versions", ", ".join(f"{name} {number}" for name, number in released.items())),
    ]


def _settings(documents: Sequence[Document]) -> list[tuple[str, ...]]:
    """Return the settings that may differ between data sets, a column for each."""
    columns = [
        {
            "words": document["protocol"]["class_list"] or "the data set's",
            **document["settings"]["windows"],
            **document["settings"]["decoding"],
            "trimap": document["settings"]["trimap"],
        }
        for document in documents
    ]
    return [
        (name.replace("_", " "), *(_cell(column[name]) for column in columns))
        for name in columns[0]
    ]


def _deviations(documents: Sequence[Document]) -> list[str]:
    lines = [
        f"- {document['dataset']}: {name.replace('_', ' ')} {_cell(change['used'])} instead of "
        f"{_cell(change['protocol'])}"
        for document in documents
        for name, change in document["deviations"].items()
    ]
    return ["Deviations from the protocol:", "\n".join(lines)] if lines else []


def _classes(confusion: Confusion, trimap: Confusion | None) -> list[Document]:
    bands = trimap.iou if trimap else {}
    return [
        {
            "index": index,
            "name": name,
            "iou": _share(value),
            "trimap_iou": _share(bands.get(name, math.nan)),
        }
        for index, (name, value) in enumerate(confusion.iou.items())
    ]


def _share(value: float) -> float | None:
    return None if math.isnan(value) else value


def _cell(value: object) -> str:
    return "-" if value is None else str(value)
