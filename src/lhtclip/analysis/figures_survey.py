"""The paper's figures of layers and heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lhtclip.analysis.compare import best_first
from lhtclip.analysis.figures import BLUE, GREY, INK, ORANGE, canvas, number_layers, styled
from lhtclip.analysis.pairs import Estimate
from lhtclip.analysis.published import Curve
from lhtclip.analysis.survey import Survey
from lhtclip.techniques.she import Head

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_HEADS = 50
_HATCHES = ("", "///", "...", "\\\\\\", "xx", "--", "++", "oo")
_MARKS = (("o", BLUE), ("s", ORANGE), ("^", INK))


@styled
def layers_figure(
    surveys: Mapping[str, Survey],
    *,
    reweighted: Sequence[int] = (),
    published: Sequence[Curve] = (),
) -> Figure:
    """Draw discriminability and alignment by layer.

    Args:
        surveys: By legend entry, such as "CLIP" and "CLIP + SSR"; at most 3.
        reweighted: The layers that SSR acts in, shaded.
        published: The paper's curves, dashed.
    """
    measures = ["discriminability"]
    if any(survey.alignment for survey in surveys.values()):
        measures.append("alignment")
    figure = canvas(3.6 * len(measures), 2.9)
    titles = {
        "discriminability": "Visual discriminability (AUC of patch pairs)",
        "alignment": "Semantic alignment (share of patches)",
    }
    for place, measure in enumerate(measures, start=1):
        axes = figure.add_subplot(1, len(measures), place)
        for layer in reweighted:
            axes.axvspan(layer - 0.5, layer + 0.5, color="#f1f2f4", linewidth=0)
        for (name, survey), (marker, colour) in zip(surveys.items(), _MARKS, strict=False):
            style: dict[str, Any] = {"marker": marker, "color": colour, "label": name}
            if measure == "alignment":
                axes.plot(list(survey.alignment), list(survey.alignment.values()), **style)
            else:
                _plot_estimates(axes, survey.layers, **style)
        for curve in published:
            if curve.measure == measure:
                label = f"paper, {curve.data}" + (" + SSR" if curve.ssr else "")
                dash = ":" if curve.ssr else "--"
                values = curve.by_layer
                axes.plot(list(values), list(values.values()), dash, color=GREY, label=label)
        axes.set_title(titles[measure])
        number_layers(axes, max(max(survey.layers) for survey in surveys.values()))
        axes.legend(loc="best")
    return figure


@styled
def heads_figure(
    heads: Mapping[Head, Estimate], *, layers: Mapping[int, Estimate], most: int = MOST_HEADS
) -> Figure:
    """Draw the discriminability of heads as bars, best first, a shade and hatch for each layer.

    Args:
        heads: AUC by (layer, head).
        layers: AUC by layer; the best one is drawn as a line.
        most: Maximum number of heads.
    """
    drawn = best_first({head: estimate.auc for head, estimate in heads.items()})[:most]
    in_legend = sorted({layer for layer, _ in drawn})
    figure = canvas(max(4.0, 1.4 + 0.17 * len(drawn)), 3.0)
    axes = figure.add_subplot()
    shades = _shades(len(in_legend))
    for shade, layer in zip(shades, in_legend, strict=True):
        places = [place for place, head in enumerate(drawn) if head[0] == layer]
        estimates = [heads[drawn[place]] for place in places]
        axes.bar(
            places,
            [estimate.auc for estimate in estimates],
            yerr=_margins(estimates),
            color=shade,
            hatch=_HATCHES[layer % len(_HATCHES)],
            edgecolor=INK,
            linewidth=0.5,
            error_kw={"linewidth": 0.8, "ecolor": INK},
            label=f"layer {layer}",
        )
    best = max(layers, key=lambda layer: layers[layer].auc)
    label = f"all of layer {best}, the best"
    axes.axhline(layers[best].auc, color=INK, linestyle="--", linewidth=1, label=label)
    lowest, highest = heads[drawn[-1]].auc, max(layers[best].auc, heads[drawn[0]].auc)
    room = 0.15 * (highest - lowest) + 0.005
    axes.set_ylim(lowest - room, highest + room)
    axes.set_xlim(-0.7, len(drawn) - 0.3)
    axes.set_xticks(range(len(drawn)), [f"{layer}-{head}" for layer, head in drawn], rotation=90)
    axes.tick_params(axis="x", length=0, labelsize=7)
    some = f"first {len(drawn)} of {len(heads)} " if len(drawn) < len(heads) else ""
    axes.set_title(f"Visual discriminability of {some}heads (AUC of patch pairs), layer-head")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.02), fontsize=8)
    return figure


def _plot_estimates(axes: Axes, estimates: Mapping[int, Estimate], **style: Any) -> None:
    """Plot AUC by layer, with the confidence interval as a band."""
    layers, values = list(estimates), list(estimates.values())
    axes.plot(layers, [value.auc for value in values], **style)
    bounds = ([value.low for value in values], [value.high for value in values])
    axes.fill_between(layers, *bounds, color=style["color"], alpha=0.2, linewidth=0)


def _margins(estimates: Sequence[Estimate]) -> list[list[float]]:
    below = [estimate.auc - estimate.low for estimate in estimates]
    above = [estimate.high - estimate.auc for estimate in estimates]
    return [np.nan_to_num(below).tolist(), np.nan_to_num(above).tolist()]


def _shades(count: int) -> list[Any]:
    """Return colours of increasing lightness."""
    from matplotlib import colormaps

    return [colormaps["viridis"](share) for share in np.linspace(0.25, 1, count)]
