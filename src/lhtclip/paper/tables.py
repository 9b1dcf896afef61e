"""The paper's tables as data: the settings of each row, and its published numbers.

Numbers are mIoU in percent of ViT-B/16 (arXiv 2510.23894; from the earlier version of the same
paper if only that has them). Layers are given by their distance from the last block, and heads by
their number, so rows mean the same in any tower. Rows without published numbers extend a sweep.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

EIGHT = (
    "voc21",
    "context60",
    "coco_object",
    "voc20",
    "cityscapes",
    "context59",
    "ade20k",
    "coco_stuff171",
)
FOUR = ("context60", "coco_object", "context59", "cityscapes")

PRESET: Literal["preset"] = "preset"
FromPreset = Literal["preset"]
CHANNELS: Literal["channels"] = "channels"  # the preset's ATR, judging by its abnormal channels
ByChannels = Literal["channels"]


@dataclass(frozen=True, slots=True)
class SsrChange:
    """SSR in this many layers before the last block, or in the preset's (None), with this α."""

    layers: int | None = None
    alpha: float | None = None


@dataclass(frozen=True, slots=True)
class SheChange:
    """SHE with the first heads of the ranking, all heads of one layer, or another β.

    Attributes:
        heads: Number of heads from the ranking; None for as many as in the preset.
        layer: All heads of the layer at this share of the depth, instead of a ranking.
        beta: None for the preset's.
    """

    heads: int | None = None
    layer: float | None = None
    beta: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table.

    Attributes:
        title: The printed title.
        method: Name of the method.
        ssr: None for off, "preset" for the checkpoint's preset, or a change of the preset.
        atr: The same; a change is another τ, or "channels".
        she: The same as for `ssr`.
        bare: Without the last block's residual connection and MLP, even if published with them.
        gains: What is switched on besides, names in `lhtclip.paper.gains.GAINS`.
        published: mIoU in percent by data set.
        average: The published average, if it covers more than the data sets in `published`.
    """

    title: str
    method: str = "sclip"
    ssr: SsrChange | FromPreset | None = None
    atr: float | FromPreset | ByChannels | None = None
    she: SheChange | FromPreset | None = None
    bare: bool = True
    published: Mapping[str, float] = field(default_factory=dict[str, float])
    average: float | None = None
    gains: tuple[str, ...] = ()


def _row(
    title: str,
    *numbers: float,
    over: Sequence[str] = FOUR,
    method: str = "sclip",
    ssr: SsrChange | FromPreset | None = None,
    atr: float | FromPreset | ByChannels | None = None,
    she: SheChange | FromPreset | None = None,
    bare: bool = True,
) -> Row:
    """Make a row from the printed numbers: those in the columns `over`, then the average."""
    published = dict(zip(over, numbers, strict=False))
    average = numbers[-1] if numbers else None
    return Row(title, method, ssr, atr, she, bare, published, average)


def _host(title: str, method: str, *numbers: float) -> Row:
    return _row(title, *numbers, over=EIGHT, method=method, bare=False)


def _lht(title: str, method: str, *numbers: float) -> Row:
    return _row(title, *numbers, over=EIGHT, method=method, ssr=PRESET, atr=PRESET, she=PRESET)


TABLE1 = (
    _host("CLIP", "clip", 16.2, 7.7, 5.5, 41.8, 5.5, 9.2, 2.1, 4.4, 11.6),
    _host("MaskCLIP", "maskclip"),
    _row(
        "MaskCLIP, no residual, no MLP",
        *(38.8, 23.6, 20.6, 74.9, 16.4, 26.4, 9.8, 14.8, 28.2),
        over=EIGHT,
        method="maskclip",
    ),
    _host("SCLIP", "sclip", 59.7, 31.7, 33.5, 81.5, 32.3, 34.5, 16.5, 22.7, 39.1),
    _lht("SCLIP + LHT", "sclip", 64.8, 34.8, 36.6, 86.3, 36.1, 37.6, 18.0, 24.9, 42.4),
    _host("ClearCLIP", "clearclip", 57.0, 32.2, 32.5, 82.3, 32.8, 35.8, 17.3, 24.0, 39.2),
    _lht("ClearCLIP + LHT", "clearclip", 63.8, 35.2, 35.6, 85.7, 37.8, 38.8, 19.2, 25.8, 42.7),
    _host("ResCLIP, no SFR", "resclip", 60.0, 32.7, 34.0, 85.5, 35.6, 35.8, 17.7, 23.8, 40.6),
    _lht("ResCLIP, no SFR + LHT", "resclip", 63.9, 35.5, 35.2, 86.9, 38.2, 38.2, 19.1, 25.5, 42.8),
    _host("NACLIP", "naclip"),
    _lht("NACLIP + LHT", "naclip"),
    _host("GEM", "gem"),
    _lht("GEM + LHT", "gem"),
    _host("CLIP Surgery", "clip-surgery"),
    _lht("CLIP Surgery + LHT", "clip-surgery"),
    _host("SC-CLIP", "scclip"),
    _lht("SC-CLIP + LHT", "scclip"),
    _host("PEARL, no TLP", "pearl"),
    _lht("PEARL, no TLP + LHT", "pearl"),
    _host("RF-CLIP, its code", "rfclip"),
    _lht("RF-CLIP, its code + LHT", "rfclip"),
    _host("RF-CLIP, its paper", "rfclip-paper"),
    _lht("RF-CLIP, its paper + LHT", "rfclip-paper"),
)

_BASELINE = _row("baseline", 32.4, 32.9, 36.0, 34.3, 33.9)

ATR = (
    _BASELINE,
    _row("τ = 0.2", 0.8, 2.0, 1.5, 1.7, 1.5, atr=0.2),
    _row("τ = 0.3", atr=0.3),
    _row("τ = 0.4", 32.8, 34.0, 36.6, 34.7, 34.5, atr=0.4),
    _row("τ = 0.5", 32.8, 34.2, 36.7, 34.7, 34.6, atr=0.5),
    _row("τ = 0.8", 32.8, 33.9, 36.6, 34.7, 34.5, atr=0.8),
    _row("τ = 0.9", 32.8, 33.9, 36.6, 34.3, 34.4, atr=0.9),
    _row("by abnormal channels", atr=CHANNELS),
)

SSR = (
    _BASELINE,
    _row("3 layers, α = 0.1", 32.7, 32.0, 36.5, 36.7, 34.5, ssr=SsrChange(3, 0.1)),
    _row("2 layers, α = 0.1", 33.1, 33.4, 36.9, 35.6, 34.8, ssr=SsrChange(2, 0.1)),
    _row("1 layer, α = 0.1", 32.7, 34.1, 36.4, 34.9, 34.5, ssr=SsrChange(1, 0.1)),
    _row("2 layers, α = 0.05", 32.8, 33.7, 36.4, 35.0, 34.5, ssr=SsrChange(2, 0.05)),
    _row("2 layers, α = 0.2", 32.6, 31.7, 36.5, 36.6, 34.4, ssr=SsrChange(2, 0.2)),
    _row("3 layers, α = 0.2", ssr=SsrChange(3, 0.2)),
    _row("4 layers, α = 0.1", ssr=SsrChange(4, 0.1)),
    _row("4 layers, α = 0.2", ssr=SsrChange(4, 0.2)),
    _row("4 layers, α = 0.3", ssr=SsrChange(4, 0.3)),
    _row("as in the preset", ssr=PRESET),
)


def _she(title: str, change: SheChange, *numbers: float) -> Row:
    return _row(title, *numbers, atr=PRESET, she=change)


SHE = (
    _row("ATR alone", 32.8, 34.2, 36.7, 34.7, 34.6, atr=PRESET),
    _she("all heads of layer 8 of 12", SheChange(layer=8 / 12), 33.9, 37.1, 37.1, 35.0, 35.8),
    _she("k = 1", SheChange(heads=1), 33.4, 37.1, 36.6, 35.4, 35.3),
    _she("k = 3", SheChange(heads=3)),
    _she("k = 10", SheChange(heads=10), 34.8, 37.6, 37.9, 36.3, 36.7),
    _she("k = 20", SheChange(heads=20)),
    _she("k = 30", SheChange(heads=30), 34.7, 37.3, 37.9, 36.4, 36.6),
    _she("k = 50", SheChange(heads=50), 34.7, 37.3, 37.8, 36.3, 36.5),
    *(_she(f"β = {beta}", SheChange(beta=beta)) for beta in (0.0, 0.2, 0.4, 0.6, 0.7, 0.8)),
)

COMBINATION = (
    _BASELINE,
    _row("ATR", 32.8, 34.2, 36.7, 34.7, 34.6, atr=PRESET),
    _row("SSR", 33.1, 33.4, 36.9, 35.6, 34.8, ssr=PRESET),
    _row("SHE", she=PRESET),
    Row("ATR + SSR", atr=PRESET, ssr=PRESET, average=35.3),
    _row("ATR + SHE", 34.8, 37.6, 37.9, 36.3, 36.7, atr=PRESET, she=PRESET),
    _row("SSR + SHE", ssr=PRESET, she=PRESET),
    Row("all three", atr=PRESET, ssr=PRESET, she=PRESET, average=37.4),
)


def _stacked(title: str, *gains: str) -> Row:
    return Row(title, ssr=PRESET, atr=PRESET, she=PRESET, gains=gains)


_ALL = ("prior", "texts", "flip", "shifts", "joint", "scales", "aliases")
STACK = (
    _lht("SCLIP with LHT", "sclip", 64.8, 34.8, 36.6, 86.3, 36.1, 37.6, 18.0, 24.9, 42.4),
    Row("with ATR by abnormal channels", ssr=PRESET, atr=CHANNELS, she=PRESET),
    _stacked("with PAMR", "pamr"),
    _stacked("with text-aware propagation (TLP)", "tlp"),
    _stacked("with a class prior of 0.2", "prior"),
    _stacked("with calibrated texts (PTC)", "texts"),
    _stacked("with mirrored windows", "flip"),
    _stacked("with 2 x 2 shifts", "shifts"),
    _stacked("with joint windows", "joint"),
    _stacked("with short sides of 3/4, 1 and 4/3", "scales"),
    _stacked("with common aliases", "aliases"),
    _stacked("with the word background alone", "background-word"),
    _stacked("with background words chosen", "background-auto"),
    _stacked("with prior, mirroring, shifts, PAMR", "prior", "flip", "shifts", "pamr"),
    _stacked("with prior, mirroring, shifts, TLP", "prior", "flip", "shifts", "tlp"),
    _stacked("with all of them, and PAMR", *_ALL, "pamr"),
    _stacked("with all of them, and TLP", *_ALL, "tlp"),
)

TABLES: dict[str, tuple[Row, ...]] = {
    "table1": TABLE1,
    "atr": ATR,
    "ssr": SSR,
    "she": SHE,
    "combination": COMBINATION,
    "stack": STACK,
}
COLUMNS: dict[str, tuple[str, ...]] = {
    "table1": EIGHT,
    "atr": FOUR,
    "ssr": FOUR,
    "she": FOUR,
    "combination": FOUR,
    "stack": EIGHT,
}


@dataclass(frozen=True, slots=True)
class EfficiencyRow:
    """A row of the efficiency table, of a 500 x 375 image: 6 windows of ViT-B/16.

    Attributes:
        gflops: Multiplications with their additions, in 10⁹.
        images_per_second: On the authors' GPU.
    """

    title: str
    method: str
    lht: bool
    bare: bool
    gflops: float
    images_per_second: float


PARAMETERS = 149.6  # 10⁶
EFFICIENCY = (
    EfficiencyRow("CLIP", "clip", False, False, 106.10, 13.7),
    EfficiencyRow("ResCLIP", "resclip", False, False, 141.34, 3.0),
    EfficiencyRow("baseline", "sclip", False, True, 100.70, 13.9),
    EfficiencyRow("baseline + LHT", "sclip", True, True, 102.65, 8.2),
)
