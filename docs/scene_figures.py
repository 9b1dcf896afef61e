"""Draw what the techniques measure and change in an image, for "How it works"."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lhtclip.analysis.figures import INK, canvas, styled
from lhtclip.datasets.scene_files import Scene
from lhtclip.encoder import DenseEncoder
from lhtclip.files import write_atomically
from lhtclip.image.pixels import read_image, resized_shape, to_pixels
from lhtclip.methods.method import LastBlock, Method
from lhtclip.output.overlay import draw_classes
from lhtclip.output.palette import class_colours
from lhtclip.segmenter import Segmenter
from lhtclip.techniques.atr import AtrSettings, hoyer
from lhtclip.techniques.settings import LhtSettings
from lhtclip.text.vocabulary import Vocabulary

Anchor = tuple[int, int]  # row and column of a patch

_SHOWN = (-0.2, 1.0)  # cosines from dark to bright
_DPI, _OPACITY = 90, 0.6
# False tokens for the figure of ATR: where, and in which channels they are large.
_PLANTED = ((5, 8), (8, 13), (5, 13), (14, 15), (17, 8), (2, 3))
_CHANNELS, _LARGE = (5, 77, 101), 60.0


class Watcher:
    """A method that stores its input."""

    def __init__(self) -> None:
        self.last: LastBlock | None = None

    def __call__(self, last: LastBlock) -> Tensor:
        """Store the last block, and return something of the right shape."""
        self.last = last
        return last.normed


def watch(segmenter: Segmenter, image: NDArray[np.uint8], lht: LhtSettings) -> LastBlock:
    """Return the last block of a whole image under these techniques."""
    watcher = Watcher()
    method = Method("watch", watcher, residual=False, mlp=False, source="this page")
    levels, windows = segmenter.checkpoint.pixels, segmenter.windows
    size = resized_shape(
        *image.shape[:2], short_side=windows.short_sides[0], long_side=windows.long_side
    )
    pixels = to_pixels(image, size, device="cpu", mean=levels.mean, std=levels.std)
    DenseEncoder(segmenter.checkpoint.model, method=method, lht=lht)(pixels[None])
    if watcher.last is None:
        raise RuntimeError("The method was not asked.")
    return watcher.last


def entering(last: LastBlock) -> Tensor:
    """Return the patch tokens that enter the last block, (1, patches, width)."""
    return last.x[:, last.class_tokens :]


def score_map(tokens: Tensor, grid: tuple[int, int]) -> NDArray[np.float32]:
    """Hoyer scores of (1, patches, width) as (rows, columns)."""
    return hoyer(tokens[0]).unflatten(0, grid).numpy()


def similarity_map(tokens: Tensor, grid: tuple[int, int], anchor: Anchor) -> NDArray[np.float32]:
    """Cosine similarity of the anchor patch to all others, (rows, columns)."""
    units = F.normalize(tokens[0].float(), dim=-1)
    return (units @ units[anchor[0] * grid[1] + anchor[1]]).unflatten(0, grid).numpy()


@dataclass(frozen=True, slots=True)
class Step:
    """A column of a figure: its title, the active techniques, and their segmenter."""

    title: str
    lht: LhtSettings
    segmenter: Segmenter


@styled
@torch.inference_mode()
def scene_figure(
    scene: Scene, steps: list[Step], plain: Segmenter, *, anchor: tuple[float, float]
) -> tuple[Figure, dict[str, float]]:
    """Draw a scene as the last block sees it, and the resulting labels.

    Args:
        scene: Image and ground truth.
        steps: One column each.
        plain: The segmenter of plain CLIP.
        anchor: Position of the patch that all others are compared with, as shares of height and
            width.

    Returns:
        The figure, and the share of correctly labelled pixels by title.
    """
    image, truth, vocabulary = read_image(scene.image), scene.truth(), Vocabulary.of(scene.classes)
    colours = class_colours(len(vocabulary.names), background=None)
    labels = {"truth": truth, "CLIP as it is": plain.encode(image).segment(vocabulary).labels}
    for step in steps:
        labels[step.title] = step.segmenter.encode(image).segment(vocabulary).labels
    blocks = [watch(step.segmenter, image, step.lht) for step in steps]
    grid = blocks[0].grid
    place = (int(anchor[0] * grid[0]), int(anchor[1] * grid[1]))

    figure = _roomy(canvas(2.15 * (2 + len(steps)), 3.75))
    axes = figure.subplots(2, 2 + len(steps))
    _show(axes[0, 0], image, "image, anchor +", cross=_in_pixels(place, grid, image))
    _show(axes[0, 1], score_map(entering(blocks[0]), grid), "Hoyer scores", limits=(0, 0.5))
    for column, (step, last) in enumerate(zip(steps, blocks, strict=True), start=2):
        values = similarity_map(entering(last), grid, place)
        _show(axes[0, column], values, f"similarity, {step.title}", limits=_SHOWN, cross=place)
    for column, (title, found) in enumerate(labels.items()):
        _show(axes[1, column], draw_classes(image, found, colours, opacity=_OPACITY), title)
    _add_legend(figure, labels, vocabulary.names, colours)
    right = {title: float((found == truth).mean()) for title, found in labels.items()}
    return figure, right


@styled
@torch.inference_mode()
def planted_figure(
    scene: Scene, segmenter: Segmenter, atr: AtrSettings, *, anchor: tuple[float, float]
) -> Figure:
    """Draw what ATR would do to abnormal tokens, by planting false ones."""
    image = read_image(scene.image)
    last = watch(segmenter, image, LhtSettings(atr=atr))
    plain = entering(watch(segmenter, image, LhtSettings()))
    grid = last.grid
    place = (int(anchor[0] * grid[0]), int(anchor[1] * grid[1]))
    planted = plain.clone()
    for row, column in _PLANTED:
        planted[0, row * grid[1] + column, list(_CHANNELS)] += _LARGE
    panels = {
        "Hoyer scores, as they are": (score_map(plain, grid), (0, 1)),
        "... with 6 false tokens put in": (score_map(planted, grid), (0, 1)),
        "similarity to + with them": (similarity_map(planted, grid, place), _SHOWN),
        "... after ATR": (similarity_map(last.restore(planted), grid, place), _SHOWN),
    }
    figure = _roomy(canvas(2.15 * (1 + len(panels)), 1.85))
    axes = figure.subplots(1, 1 + len(panels))
    _show(axes[0], image, "image, false tokens o", cross=_in_pixels(place, grid, image))
    for token in _PLANTED:
        y, x = _in_pixels(token, grid, image)
        axes[0].plot(x, y, "o", color="white", fillstyle="none", markersize=7, markeredgewidth=2)
    for axis, (title, (values, limits)) in zip(axes[1:], panels.items(), strict=True):
        _show(axis, values, title, limits=limits, cross=place if "+" in title else None)
    return figure


def save_small(figure: Figure, path: Path, *, colours: int | None = 256) -> Path:
    """Write a figure as a PNG, of few colours where photographs would make it large."""
    buffer, encoded = io.BytesIO(), io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    with Image.open(buffer) as opened:
        picture = opened.convert("RGB")
    if colours is not None:
        dither, method = Image.Dither.NONE, Image.Quantize.MAXCOVERAGE
        picture = picture.quantize(colours, method=method, kmeans=3, dither=dither)
    picture.save(encoded, format="PNG", optimize=True)
    return write_atomically(path, encoded.getvalue())


def _roomy(figure: Figure) -> Figure:
    """Keep titles of axes without ticks away from the edge."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.set(rect=(0.0, 0.0, 1.0, 0.97))
    return figure


def _in_pixels(place: Anchor, grid: tuple[int, int], image: NDArray[np.uint8]) -> Anchor:
    row, column = ((2 * place[axis] + 1) * image.shape[axis] // (2 * grid[axis]) for axis in (0, 1))
    return row, column


def _show(
    axes: Axes,
    picture: object,
    title: str,
    *,
    limits: tuple[float, float] = (0, 1),
    cross: Anchor | None = None,
) -> None:
    axes.imshow(np.asarray(picture), vmin=limits[0], vmax=limits[1], interpolation="nearest")
    if cross is not None:
        axes.plot(cross[1], cross[0], "+", color="white", markersize=9, markeredgewidth=3)
        axes.plot(cross[1], cross[0], "+", color=INK, markersize=8, markeredgewidth=1.2)
    axes.set_title(title, fontsize=8)
    axes.axis("off")


def _add_legend(
    figure: Figure,
    labels: Mapping[str, NDArray[np.integer]],
    names: tuple[str, ...],
    colours: NDArray[np.uint8],
) -> None:
    seen = np.unique(np.concatenate([found.ravel() for found in labels.values()]))
    present = [int(label) for label in seen if label < len(names)]
    patches = [Patch(color=colours[index] / 255, label=names[index]) for index in present]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(present), fontsize=8)
