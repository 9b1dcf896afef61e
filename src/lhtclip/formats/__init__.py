"""Output formats, one per file. A new one is a file and a line in `SINKS`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lhtclip.errors import InputError, check_kind, unknown
from lhtclip.formats.areas import Csv, Parquet
from lhtclip.formats.binary import Binary
from lhtclip.formats.coco import Coco
from lhtclip.formats.cvat import Cvat
from lhtclip.formats.fiftyone import FiftyOne
from lhtclip.formats.hugging_face import HuggingFace
from lhtclip.formats.label_studio import LabelStudio
from lhtclip.formats.labelme import LabelMe
from lhtclip.formats.labels import Labels
from lhtclip.formats.overlay import Overlay
from lhtclip.formats.panoptic import Panoptic
from lhtclip.formats.probabilities import Probabilities
from lhtclip.formats.scores import Scores
from lhtclip.formats.sink import OutputOptions, Sink
from lhtclip.formats.uncertainty import Entropy, Margin
from lhtclip.formats.voc import Voc
from lhtclip.formats.yolo import Yolo
from lhtclip.formats.yolo_semantic import YoloSemantic
from lhtclip.text.vocabulary import Vocabulary

SINKS: dict[str, Callable[[Vocabulary, OutputOptions], Sink]] = {
    "labels": Labels,
    "overlay": Overlay,
    "scores": Scores,
    "margin": Margin,
    "entropy": Entropy,
    "probabilities": Probabilities,
    "binary": Binary,
    "csv": Csv,
    "parquet": Parquet,
    "coco": Coco,
    "panoptic": Panoptic,
    "cvat": Cvat,
    "fiftyone": FiftyOne,
    "hf": HuggingFace,
    "label-studio": LabelStudio,
    "labelme": LabelMe,
    "voc": Voc,
    "yolo": Yolo,
    "yolo-semantic": YoloSemantic,
}


def check_formats(formats: str | Sequence[str]) -> tuple[str, ...]:
    """Return the names of formats without repeats; a single string has commas between them.

    Raises:
        UnknownNameError: There is no such format.
        InputError: No format was named.
    """
    check_kind("formats", formats, str, Sequence)
    names = formats.split(",") if isinstance(formats, str) else formats
    for name in names:
        check_kind("a format", name, str)
    chosen = tuple(dict.fromkeys(name.strip() for name in names))
    for name in chosen:
        if name not in SINKS:
            raise unknown("format", name, SINKS)
    if not chosen:
        raise InputError(f"No format was named. Available: {', '.join(SINKS)}.")
    return chosen


def open_sinks(
    formats: str | Sequence[str], vocabulary: Vocabulary, options: OutputOptions | None = None
) -> dict[str, Sink]:
    """Return a sink for each format, by name, for the classes of a run.

    Raises:
        UnknownNameError: There is no such format.
        InputError: No format was named.
    """
    check_kind("options", options, OutputOptions, type(None))
    options = options or OutputOptions()
    return {name: SINKS[name](vocabulary, options) for name in check_formats(formats)}
