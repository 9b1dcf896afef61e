"""Three methods on the same scenes, with one model and one set of words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lhtclip.cli.console import Progress, print_path, print_table
from lhtclip.datasets.scene_files import Scene
from lhtclip.encoder import DenseEncoder
from lhtclip.evaluation.confusion import Confusion
from lhtclip.evaluation.scenes import SceneResult, new_confusion, segment_scenes, vocabulary_of
from lhtclip.files import write_atomically
from lhtclip.output.overlay import add_legend, draw_classes
from lhtclip.output.png import encode_picture
from lhtclip.output.side_by_side import side_by_side
from lhtclip.segmenter import Segmenter

_OPACITY = 0.6


def compare_methods(
    scenes: Sequence[Scene], out: Path, *, model: str, device: str, dtype: str, quiet: bool
) -> None:
    """Segment the scenes by every method; print the scores, write and print the pictures."""
    methods = _methods(Segmenter.from_pretrained(model, device=device, dtype=dtype))
    *_, best = methods.values()
    words = dict.fromkeys(query for scene in scenes for query in vocabulary_of(scene).queries)
    with Progress("prompts", quiet=quiet) as progress:
        best.texts.encode(list(words), progress=progress)

    confusions = {name: new_confusion(scenes) for name in methods}
    written: list[Path] = []
    with Progress("scenes", quiet=quiet) as progress:
        rows = zip(*(segment_scenes(method, scenes) for method in methods.values()), strict=True)
        for done, row in enumerate(rows, start=1):
            results = dict(zip(methods, row, strict=True))
            for name, result in results.items():
                result.count_in(confusions[name])
            written += _draw(results, out)
            progress(done, len(scenes))
    _print_scores(confusions)
    for path in written:
        print_path(path)


def _methods(lht: Segmenter) -> dict[str, Segmenter]:
    """Return plain CLIP, SCLIP and LHT-CLIP, which share everything but the rules."""
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


def _draw(results: dict[str, SceneResult], out: Path) -> list[Path]:
    """Write the overlay of the last method, and image, truth and all methods side by side."""
    *_, last = results.values()
    image, colours = last.image, last.segmentation.colours

    def tinted(labels: NDArray[np.uint8] | NDArray[np.uint16]) -> Image.Image:
        return draw_classes(image, labels, colours, opacity=_OPACITY)

    maps = {"truth": last.truth} | {
        name: result.segmentation.labels for name, result in results.items()
    }
    panels = {"image": Image.fromarray(image)}
    panels |= {name: tinted(labels) for name, labels in maps.items()}
    seen = np.unique(np.concatenate([labels.ravel() for labels in maps.values()]))
    present = [int(label) for label in seen if label < len(colours)]
    sheet = add_legend(side_by_side(panels), present, last.segmentation.names, colours)
    pictures = {"overlay": last.segmentation.overlay(), "compare": sheet}
    return [
        write_atomically(out / f"{last.scene.name}.{kind}.png", encode_picture(picture))
        for kind, picture in pictures.items()
    ]
