"""The protocols of the published evaluations, as tables to compare with their configurations.

`PROTOCOLS` holds a record per data set and publication; docs/reference/protocols.md shows them
side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from lhtclip.datasets import DATASETS
from lhtclip.decoding.pamr import PamrSettings
from lhtclip.decoding.settings import DecodeSettings
from lhtclip.decoding.tlp import TlpSettings
from lhtclip.errors import unknown
from lhtclip.evaluation.protocol import Protocol
from lhtclip.image.windows import WindowSettings
from lhtclip.methods import Method
from lhtclip.methods.naclip import NaclipSettings
from lhtclip.methods.pearl import PEARL, PearlSettings
from lhtclip.methods.resclip import RcsSettings, resclip
from lhtclip.methods.resclip_feedback import SfrSettings, resclip_with_feedback
from lhtclip.text.vocabulary import SHIPPED_CLASS_LISTS

_Row: TypeAlias = tuple[int, int | None, int, float, float, float]

_LONG_SIDE = 2048  # in every publication
_RESIZE = "opencv"  # in every publication, by mmcv
_WITH_BACKGROUND = ("voc21", "context60", "coco_object")
_WHOLE = None  # the whole image in one pass, without a stride
_ANY = ""  # a data set that the publication does not cover

# data set: short side, window, stride, logit scale, prob_thd, area_thd
# fmt: off
_SCLIP: Mapping[str, _Row] = {
    "voc21":         (336, 224, 112, 65, 0.1, 0.1),
    "context60":     (336, 224, 112, 50, 0.1, 0),
    "coco_object":   (336, 224, 112, 50, 0.1, 0),
    "voc20":         (336, 224, 112, 40, 0, 0),
    "cityscapes":    (560, 224, 112, 40, 0, 0),
    "context59":     (336, 224, 112, 40, 0, 0),
    "ade20k":        (336, 224, 112, 40, 0, 0),
    "coco_stuff171": (448, 224, 112, 40, 0, 0),
    _ANY:            (336, 224, 112, 40, 0, 0),
}
_CLEARCLIP: Mapping[str, _Row] = {
    "voc21":         (448, 448, 224, 50, 0.5, 0),
    "context60":     (448, 448, 224, 50, 0.15, 0),
    "coco_object":   (448, 448, 224, 50, 0.4, 0),
    "voc20":         (448, 448, 224, 50, 0, 0),
    "cityscapes":    (448, 224, 224, 50, 0, 0),
    "context59":     (448, 448, 224, 50, 0, 0),
    "ade20k":        (448, 448, 224, 50, 0, 0),
    "coco_stuff171": (448, 448, 224, 50, 0, 0),
    _ANY:            (448, 448, 224, 50, 0, 0),
}
_NACLIP: Mapping[str, _Row] = {
    "voc21":         (336, _WHOLE, 112, 40, 0.1, 0),
    "context60":     (336, 224, 112, 40, 0.1, 0),
    "coco_object":   (336, 224, 112, 40, 0.1, 0),
    "voc20":         (336, _WHOLE, 112, 40, 0, 0),
    "cityscapes":    (560, 224, 112, 40, 0, 0),
    "context59":     (336, 224, 112, 40, 0, 0),
    "ade20k":        (336, 224, 112, 40, 0, 0),
    "coco_stuff171": (336, 224, 112, 40, 0, 0),
    _ANY:            (336, 224, 112, 40, 0, 0),
}
_SCCLIP: Mapping[str, _Row] = {
    "voc21":         (336, 224, 112, 50, 0.15, 0.1),
    "context60":     (336, 224, 112, 40, 0.15, 0),
    "coco_object":   (336, 224, 112, 55, 0.35, 0),
    "voc20":         (336, 224, 112, 40, 0, 0),
    "cityscapes":    (560, 224, 112, 40, 0, 0),
    "context59":     (336, 224, 112, 40, 0, 0),
    "ade20k":        (336, 224, 112, 40, 0, 0),
    "coco_stuff171": (336, 224, 112, 40, 0, 0),
    _ANY:            (336, 224, 112, 40, 0, 0),
}
_RFCLIP: Mapping[str, _Row] = {
    "voc21":         (336, _WHOLE, 112, 40, 0.1, 0),
    "context60":     (336, 224, 112, 40, 0.1, 0),
    "coco_object":   (336, 224, 112, 40, 0.1, 0),
    "voc20":         (336, 224, 112, 40, 0, 0),
    "cityscapes":    (560, 224, 112, 40, 0, 0),
    "context59":     (336, 224, 112, 40, 0, 0),
    "ade20k":        (336, 224, 112, 40, 0, 0),
    "coco_stuff171": (336, 224, 112, 40, 0, 0),
    _ANY:            (336, 224, 112, 40, 0, 0),
}
# data set: weight of the class prior
_RFCLIP_PRIORS: Mapping[str, float] = {
    "voc21": 0.1,
    "context60": 0.25,
    "coco_object": 0.25,
    "voc20": 0.4,
    "cityscapes": 0.1,
    "context59": 0.25,
    "ade20k": 0.3,
    "coco_stuff171": 0.2,
}
# data set: τ and λ of RCS; temp_thd, τ and λ of SFR
_RESCLIP: Mapping[str, tuple[float, float, float, float, float]] = {
    "voc21":         (2, 0.3, 0.50, 2.2, 0.7),
    "context60":     (2, 0.3, 0.30, 1.8, 0.7),
    "coco_object":   (2, 0.4, 0.11, 1.8, 0.7),
    "voc20":         (2, 0.6, 0.10, 2.1, 0.6),
    "cityscapes":    (2, 0.2, 0.10, 2.1, 0.6),
    "context59":     (2, 0.4, 0.25, 1.8, 0.7),
    "ade20k":        (2, 0.3, 0.25, 2.1, 0.7),
    "coco_stuff171": (2, 0.4, 0.11, 1.8, 0.7),
    _ANY:            (2, 0.4, 0.11, 1.8, 0.7),
}
# fmt: on
_PEARL_ALPHAS = {"cityscapes": 0.3, "ade20k": 0.3}  # others 0.08
_TLP_GRIDS = {"cityscapes": 224}  # others 80


def _no_variants(*_: object) -> Mapping[str, Method]:
    return {}


def _resclip(dataset: str, decoding: DecodeSettings) -> Mapping[str, Method]:
    rcs_scale, rcs_share, threshold, sfr_scale, sfr_share = _RESCLIP[dataset]
    rcs = RcsSettings(scale=float(rcs_scale), share=rcs_share)
    sfr = SfrSettings(
        sfr_scale, sfr_share, threshold, logit_scale=decoding.logit_scale, path="released"
    )
    return {"resclip": resclip(rcs), "resclip-sfr": resclip_with_feedback(rcs, sfr)}


def _pearl(dataset: str, _: DecodeSettings) -> Mapping[str, Method]:
    settings = PearlSettings(alpha=_PEARL_ALPHAS.get(dataset, 0.08))
    return {"pearl": replace(PEARL, settings=settings)}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Publication:
    """The common settings of a publication's protocols; other fields are as in `Protocol`.

    Attributes:
        rows: A row for each data set.
        method: Its own method.
        variants: Makes the methods that have settings of their own, by name, from the name of a
            data set and its decoding.
        used_by_lht: Whether LHT-CLIP's paper evaluates this method by these settings, not its own.
        pamr: Refines the logits in every record; None does not.
        tlp: Whether text-aware propagation refines them.
        priors: Weights of the class prior by data set; 0 for others.
        wording: Class lists with this suffix replace the common ones.
    """

    rows: Mapping[str, _Row]
    method: str
    residual: bool = False
    mlp: bool = False
    lht: bool = False
    variants: Callable[[str, DecodeSettings], Mapping[str, Method]] = _no_variants
    used_by_lht: bool = False
    pamr: PamrSettings | None = None
    tlp: bool = False
    priors: Mapping[str, float] = field(default_factory=dict[str, float])
    wording: str = ""
    source: str
    notes: tuple[str, ...] = ()


_GAUSSIAN = f"The Gaussian on the attention has σ = {NaclipSettings().sigma:g} patches."

_PUBLICATIONS: Mapping[str, _Publication] = {
    "sclip": _Publication(
        rows=_SCLIP,
        method="sclip",
        residual=True,
        mlp=True,
        source="SCLIP, arXiv 2312.01597, its code at b56bd30",
        notes=("The paper's own numbers are up to 3 points lower than those of its code.",),
    ),
    "clearclip": _Publication(
        rows=_CLEARCLIP,
        method="clearclip",
        wording="clearclip",
        source="ClearCLIP, arXiv 2407.12442, its code at ad68a40",
        notes=(
            "The code's default configuration is plain CLIP; this is ClearCLIP as in the paper.",
            "The code pads windows with zeros to whole patches, which all windows of 448 and 224 "
            "pixels are; smaller ones, of images over 4.5 times as long as wide, are not padded "
            "here.",
            "The code adds windows up in half precision.",
        ),
    ),
    "naclip": _Publication(
        rows=_NACLIP,
        method="naclip",
        source="NACLIP, arXiv 2404.08181, its code at 0cac3a6",
        notes=(
            _GAUSSIAN,
            "Without PAMR, the row of the paper that later papers quote; naclip-pamr is the other.",
        ),
    ),
    "naclip-pamr": _Publication(
        rows=_NACLIP,
        method="naclip",
        pamr=PamrSettings(),
        source="NACLIP, arXiv 2404.08181, its code at 0cac3a6",
        notes=(
            _GAUSSIAN,
            "With PAMR, 10 iterations: the code's default and the main results of its README.",
        ),
    ),
    "resclip": _Publication(
        rows=_NACLIP,
        method="resclip",
        variants=_resclip,
        used_by_lht=True,
        source="ResCLIP, arXiv 2411.15851, its code at 0e085f7",
        notes=(
            _GAUSSIAN,
            "Attention is borrowed from layers 6 to 9 of 12; of deeper towers from the same third, "
            "where the code stays with 6 to 9.",
            "Without feedback (SFR), which the paper's own numbers have: the method resclip-sfr, "
            "here with the path check of the code.",
        ),
    ),
    "scclip": _Publication(
        rows=_SCCLIP,
        method="scclip",
        source="SC-CLIP, arXiv 2411.15869, its code at 0417ba9",
        notes=("The code fails on windows that are not square; these records have none.",),
    ),
    "pearl": _Publication(
        rows=_NACLIP,
        method="pearl",
        variants=_pearl,
        tlp=True,
        source="PEARL, arXiv 2603.21528, its code at c26062b",
        notes=(
            "With text-aware propagation, as in the paper's main table; `--refine none` leaves it "
            "out.",
        ),
    ),
    "rfclip": _Publication(
        rows=_RFCLIP,
        method="rfclip",
        priors=_RFCLIP_PRIORS,
        source="RF-CLIP, arXiv 2511.16170, its code at c2b333e",
        notes=(
            "The code moves the embedding of a class by 1 to 5 % towards two patches of the image, "
            "tuned by data set, as CASS does; that is not followed.",
            "The class prior is that of the whole image, from the ordinary image tower. The code "
            "takes it from the denoised one, on Cityscapes from each window.",
            "Without PAMR; `--refine pamr` adds it, as in the last row of the paper's table.",
        ),
    ),
    "lht": _Publication(
        rows=_SCLIP,
        method="sclip",
        lht=True,
        source="LHT-CLIP, arXiv 2510.23894; settings of SCLIP's code at b56bd30",
        notes=(
            "Inferred: the paper refers to earlier work without numbers, but its row of SCLIP is "
            "that of SCLIP's code, and its FLOPs are those of 6 windows of 224 pixels.",
            "Inferred: its row of ClearCLIP has the same settings, its row of ResCLIP those of "
            "ResCLIP's code, without SFR.",
        ),
    ),
}


def _record(publication: str, dataset: str) -> Protocol:
    shared = _PUBLICATIONS[publication]
    short_side, window, stride, scale, threshold, area_threshold = shared.rows[dataset]
    wording = f"{dataset}.{shared.wording}"
    tlp = TlpSettings(_TLP_GRIDS.get(dataset, 80)) if shared.tlp else None
    decoding = DecodeSettings(
        float(scale),
        float(threshold),
        float(area_threshold),
        shared.pamr,
        tlp,
        prior=shared.priors.get(dataset, 0.0),
    )
    return Protocol(
        dataset=dataset,
        publication=publication,
        method=shared.method,
        residual=shared.residual,
        mlp=shared.mlp,
        lht=shared.lht,
        class_list=(wording if wording in SHIPPED_CLASS_LISTS else dataset) or None,
        background=dataset in _WITH_BACKGROUND,
        windows=WindowSettings(short_side, _LONG_SIDE, window, stride, resize=_RESIZE),
        decoding=decoding,
        methods=shared.variants(dataset, decoding),
        source=shared.source,
        notes=shared.notes,
    )


PUBLICATIONS: tuple[str, ...] = tuple(_PUBLICATIONS)

PROTOCOLS: Mapping[tuple[str, str], Protocol] = {
    (dataset, publication): _record(publication, dataset)
    for publication, shared in _PUBLICATIONS.items()
    for dataset in shared.rows
    if dataset != _ANY
}


def protocol_for(dataset: str, publication: str) -> Protocol:
    """Return how a publication evaluates on a data set.

    For a data set that it was not published for, such as a folder of one's own, these are its
    defaults: no class list, no thresholds.

    Args:
        dataset: Name of any data set.
        publication: A name in `PUBLICATIONS`.

    Raises:
        UnknownNameError: There is no such publication.
    """
    if publication not in PUBLICATIONS:
        raise unknown("publication", publication, PUBLICATIONS)
    published = PROTOCOLS.get((dataset, publication))
    if published is not None:
        return published
    default = _record(publication, _ANY)
    note = f"Not published for {dataset}: the publication's defaults, with the data set's classes."
    return replace(default, dataset=dataset, notes=(*default.notes, note))


def publication_of(method: str, *, lht: bool) -> str:
    """Choose the publication whose settings a method is evaluated by if nobody says otherwise.

    Without LHT-CLIP's techniques it is the method's own, or SCLIP's if the method has none. With
    them it is LHT-CLIP's: its paper evaluates all methods by SCLIP's settings, except ResCLIP,
    which keeps its own.

    Args:
        method: Name of a method.
        lht: Whether a technique is on, or the number is compared with one with a technique.
    """
    own = "sclip"
    for name, publication in _PUBLICATIONS.items():
        if method == publication.method or method in PROTOCOLS[DATASETS[0], name].methods:
            own = name
            break
    return "lht" if lht and not _PUBLICATIONS[own].used_by_lht else own
