"""The figure of tokens: their sparsity, their positions, and the abnormal ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lhtclip.analysis.figures import BLUE, INK, ORANGE, canvas, number_layers, styled
from lhtclip.analysis.tokens import LayerTokens, TokenStatistics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@styled
def tokens_figure(
    statistics: TokenStatistics, *, threshold: float, gap: float | None = None
) -> Figure:
    """Draw the Hoyer scores and, if there are any, the abnormal tokens.

    Args:
        statistics: Results of a pass.
        threshold: τ.
        gap: The threshold that the scores themselves suggest.
    """
    layers = statistics.layers
    entering = statistics.entering_last
    any_abnormal = any(layer.abnormal.count for layer in layers)
    rows = 2 if any_abnormal else 1
    figure = canvas(9.6, 2.7 * rows)
    _draw_scores(figure.add_subplot(rows, 3, 1), layers, threshold)
    _draw_histogram(figure.add_subplot(rows, 3, 2), entering, threshold, gap)
    axes = figure.add_subplot(rows, 3, 3)
    _draw_map(figure, axes, entering.positions, f"Mean score by position, layer {entering.layer}")
    axes.axis("off")
    if any_abnormal:
        _draw_share(figure.add_subplot(rows, 3, 4), layers)
        _draw_attention(figure.add_subplot(rows, 3, 5), layers)
        axes = figure.add_subplot(rows, 3, 6)
        title = "Cosine of abnormal tokens, layer by layer"
        _draw_map(figure, axes, statistics.similarity, title, limits=(0, 1))
        ticks = range(0, len(layers), max(1, len(layers) // 6))
        axes.set_xticks(ticks, [str(tick + 1) for tick in ticks])
        axes.set_yticks(ticks, [str(tick + 1) for tick in ticks])
    return figure


def _draw_scores(axes: Axes, layers: Sequence[LayerTokens], threshold: float) -> None:
    numbers = [layer.layer for layer in layers]
    for low, high, shade in ((0.01, 0.99, "#d3e3f6"), (0.25, 0.75, "#8fbbe8")):
        bottom, top = ([layer.quantile(share) for layer in layers] for share in (low, high))
        label = f"{round(100 * low)} to {round(100 * high)} %"
        axes.fill_between(numbers, bottom, top, color=shade, linewidth=0, label=label)
    axes.plot(numbers, [layer.quantile(0.5) for layer in layers], color=INK, label="median")
    highest = [layer.highest for layer in layers]
    axes.plot(numbers, highest, color=INK, linestyle="", marker="^", label="highest")
    axes.axhline(threshold, color=INK, linestyle="--", linewidth=1, label="τ")
    axes.set_ylim(0, max(1.7 * threshold, 1.3 * max(highest)))
    axes.set_title("Hoyer scores of patch tokens")
    axes.legend(fontsize=7, ncols=2, loc="upper left")
    number_layers(axes, len(layers))


def _draw_histogram(axes: Axes, layer: LayerTokens, threshold: float, gap: float | None) -> None:
    counts = np.asarray(layer.histogram)
    coarse = counts.reshape(100, -1).sum(axis=1)
    edges = np.linspace(0, 1, len(coarse) + 1)
    axes.stairs(np.maximum(coarse, 0.5), edges, fill=True, baseline=0.5, color=BLUE)
    axes.set_yscale("log")
    axes.axvline(threshold, color=INK, linestyle="--", linewidth=1, label="τ")
    if gap is not None:
        axes.axvline(gap, color=ORANGE, linestyle=":", linewidth=1.5, label="middle of the gap")
    axes.set_title(f"Tokens by Hoyer score, layer {layer.layer}")
    axes.legend(fontsize=7)


def _draw_map(
    figure: Figure,
    axes: Axes,
    values: Sequence[Sequence[float]],
    title: str,
    *,
    limits: tuple[float, float] | None = None,
) -> None:
    low, high = limits or (None, None)
    image = axes.imshow(np.asarray(values), vmin=low, vmax=high, interpolation="nearest")
    figure.colorbar(image, ax=axes, shrink=0.85)
    axes.set_title(title)
    axes.grid(visible=False)


def _draw_share(axes: Axes, layers: Sequence[LayerTokens]) -> None:
    axes.bar(range(1, len(layers) + 1), [100 * layer.share for layer in layers], color=BLUE)
    axes.set_title("Share of abnormal tokens, %")
    number_layers(axes, len(layers))


def _draw_attention(axes: Axes, layers: Sequence[LayerTokens]) -> None:
    numbers = [layer.layer for layer in layers]
    marks = (("abnormal", "o", ORANGE), ("normal", "s", BLUE))
    for name, marker, colour in marks:
        received = [getattr(layer, name).attention for layer in layers]
        axes.plot(numbers, received, marker=marker, color=colour, label=name)
    axes.set_ylim(bottom=0)
    axes.set_title("Attention received in the next layer")
    axes.legend(fontsize=7)
    number_layers(axes, len(layers))
