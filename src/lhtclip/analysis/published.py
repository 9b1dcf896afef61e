"""The paper's analysis of OpenAI's towers as data, to check a measurement against.

Read off the figures of arXiv 2510.23894 and its project page pixel by pixel, with an AUC exact to
about 0.003. The paper does not say how many patch pairs it drew, within or across images, or how it
treated ignored patches: levels may differ by some hundredths while order and shape agree.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from lhtclip.analysis.compare import best_first, overlap, spearman
from lhtclip.techniques.she import Head

# The paper's names for data, by our data sets with the same images.
DATA: Mapping[str, str] = {
    "voc21": "VOC",
    "voc20": "VOC",
    "context60": "Context",
    "context59": "Context",
    "ade20k": "ADE",
}


@dataclass(frozen=True, slots=True)
class Tower:
    """The shape of a tower, to check whether it can be the measured one."""

    layers: int
    heads: int
    patch: int

    def __str__(self) -> str:
        """Describe the shape in words."""
        return f"{self.layers} layers of {self.heads} heads, with patches of {self.patch} pixels"


VIT_B16 = Tower(layers=12, heads=12, patch=16)
VIT_L14 = Tower(layers=24, heads=16, patch=14)


@dataclass(frozen=True, slots=True)
class Curve:
    """A published curve: a measure by layer.

    Attributes:
        measure: "discriminability", an AUC, or "alignment", a share of patches.
        data: The paper's name of the data, as in `DATA`.
        ssr: Whether SSR is on.
        first: 1-based layer of the first value.
    """

    tower: Tower
    measure: Literal["discriminability", "alignment"]
    data: str
    ssr: bool
    first: int
    values: tuple[float, ...]

    @property
    def by_layer(self) -> dict[int, float]:
        """The values by 1-based layer."""
        return dict(enumerate(self.values, start=self.first))


def _b16(data: str, discriminability: str, alignment: str) -> tuple[Curve, ...]:
    return (
        Curve(VIT_B16, "discriminability", data, False, 1, _values(discriminability)),
        Curve(VIT_B16, "alignment", data, False, 1, _values(alignment)),
    )


def _l14(
    measure: Literal["discriminability", "alignment"], data: str, plain: str, ssr: str
) -> tuple[Curve, ...]:
    return (
        Curve(VIT_L14, measure, data, False, 16, _values(plain)),
        Curve(VIT_L14, measure, data, True, 16, _values(ssr)),
    )


def _values(text: str) -> tuple[float, ...]:
    return tuple(map(float, text.split()))


CURVES: tuple[Curve, ...] = (
    *_b16(
        "VOC",
        ".646 .663 .680 .693 .700 .718 .718 .718 .712 .701 .651",
        ".085 .084 .095 .11 .13 .15 .255 .35 .53 .712 .712",
    ),
    *_b16(
        "Context",
        ".712 .732 .741 .741 .742 .747 .742 .734 .725 .713 .678",
        ".023 .05 .06 .075 .10 .127 .21 .285 .393 .447 .432",
    ),
    *_l14(
        "discriminability",
        "VOC",
        ".730 .737 .747 .743 .729 .674 .675 .708",
        ".730 .736 .745 .745 .741 .714 .707 .727",
    ),
    *_l14(
        "alignment",
        "VOC",
        ".535 .649 .694 .734 .717 .701 .711 .737",
        ".535 .638 .682 .723 .729 .731 .736 .754",
    ),
    *_l14(
        "discriminability",
        "ADE",
        ".719 .715 .711 .702 .687 .640 .636 .638",
        ".719 .716 .713 .708 .699 .677 .673 .677",
    ),
    *_l14(
        "alignment",
        "ADE",
        ".262 .292 .303 .299 .294 .291 .299 .304",
        ".262 .291 .306 .309 .308 .308 .315 .320",
    ),
)

# AUC of heads of ViT-B/16, mean over ADE, Context and Stuff: all that the figure resolves.
# 6-3 is a lower bound; 7-3, 7-4 and 6-5 are one point of the figure.
HEADS: Mapping[Head, float] = {
    (6, 11): 0.776,
    (8, 12): 0.742,
    (6, 1): 0.738,
    (6, 10): 0.736,
    (6, 3): 0.732,
    (7, 8): 0.732,
    (6, 2): 0.732,
    (6, 9): 0.731,
    (7, 6): 0.729,
    (7, 12): 0.729,
    (7, 9): 0.728,
    (8, 5): 0.727,
    (6, 6): 0.723,
    (6, 5): 0.722,
    (7, 4): 0.722,
    (7, 3): 0.722,
    (8, 6): 0.720,
}


def published_curves(tower: Tower, dataset: str) -> tuple[Curve, ...]:
    """Return the paper's curves for this tower and data set; there may be none.

    Args:
        tower: Its shape.
        dataset: Name of a data set, such as "ade20k".
    """
    data = DATA.get(dataset)
    return tuple(curve for curve in CURVES if curve.tower == tower and curve.data == data)


@dataclass(frozen=True, slots=True)
class CurveAgreement:
    """How well a measured curve agrees with a published one.

    Attributes:
        spearman: Rank correlation over the layers of both, for order and shape.
        difference: Mean of measured minus published, a shift that does not matter.
        spread: Largest deviation from that shift.
    """

    curve: Curve
    spearman: float
    difference: float
    spread: float


def compare_curve(curve: Curve, measured: Mapping[int, float]) -> CurveAgreement:
    """Compare a measure by 1-based layer with a published one; NaN if they share no layer."""
    published = curve.by_layer
    differences = [measured[layer] - published[layer] for layer in published if layer in measured]
    mean = sum(differences) / len(differences) if differences else math.nan
    spread = max((abs(each - mean) for each in differences), default=math.nan)
    return CurveAgreement(curve, spearman(published, measured), mean, spread)


@dataclass(frozen=True, slots=True)
class HeadsAgreement:
    """How well a measured ranking of heads agrees with the published one.

    Attributes:
        spearman: Rank correlation over the published heads.
        overlap: Share of the first 10 heads that both rankings have.
        first: The best measured head; the published one is 6-11, by a margin.
        places: Measured 1-based rank of each published head, best published first.
    """

    spearman: float
    overlap: float
    first: Head
    places: Mapping[Head, int]


def compare_heads(measured: Mapping[Head, float]) -> HeadsAgreement:
    """Compare the AUC of heads, at least of all published ones, with `HEADS`."""
    order = best_first(measured)
    return HeadsAgreement(
        spearman=spearman(HEADS, measured),
        overlap=overlap(best_first(HEADS), order, count=10),
        first=order[0],
        places={head: order.index(head) + 1 for head in best_first(HEADS)},
    )
