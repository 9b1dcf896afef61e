"""The protocols' records, against what the publications say and what the documentation shows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lhtclip.datasets import open_dataset
from lhtclip.datasets.samples import own_vocabulary
from lhtclip.decoding.pamr import PamrSettings
from lhtclip.decoding.settings import DecodeSettings
from lhtclip.decoding.tlp import TlpSettings
from lhtclip.errors import InputError, UnknownNameError
from lhtclip.evaluation.protocol import Protocol
from lhtclip.evaluation.published_protocols import (
    PROTOCOLS,
    PUBLICATIONS,
    protocol_for,
    publication_of,
)
from lhtclip.image.windows import WindowSettings
from lhtclip.methods import METHODS
from lhtclip.methods.pearl import PearlSettings
from lhtclip.methods.resclip import RcsSettings
from lhtclip.methods.resclip_feedback import FeedbackSettings, SfrSettings
from lhtclip.text.templates import TEMPLATE_SETS

DATASETS = (
    "voc21",
    "context60",
    "coco_object",
    "voc20",
    "cityscapes",
    "context59",
    "ade20k",
    "coco_stuff171",
)
TITLES = ("VOC21", "Context60", "Object", "VOC20", "Cityscapes", "Context59", "ADE20K", "Stuff171")
DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "protocols.md"


def test_there_is_a_record_for_each_data_set_and_publication() -> None:
    assert PUBLICATIONS == (
        "sclip",
        "clearclip",
        "naclip",
        "naclip-pamr",
        "resclip",
        "scclip",
        "pearl",
        "rfclip",
        "lht",
    )
    assert set(PROTOCOLS) == {(name, each) for name in DATASETS for each in PUBLICATIONS}
    for (dataset, publication), protocol in PROTOCOLS.items():
        assert (protocol.dataset, protocol.publication) == (dataset, publication)
        assert protocol_for(dataset, publication) is protocol
        assert protocol.templates in TEMPLATE_SETS
        assert protocol.source
        assert (protocol.windows.long_side, protocol.windows.resize) == (2048, "opencv")


def test_only_naclip_has_a_row_with_pamr() -> None:
    for (_, publication), protocol in PROTOCOLS.items():
        expected = PamrSettings(10, (8, 16)) if publication == "naclip-pamr" else None
        assert protocol.decoding.pamr == expected
    for dataset in DATASETS:
        plain, refined = PROTOCOLS[dataset, "naclip"], PROTOCOLS[dataset, "naclip-pamr"]
        assert replace(refined.decoding, pamr=None) == plain.decoding
        assert refined.windows == plain.windows


def test_pearl_propagates_and_has_its_alphas() -> None:
    for (dataset, publication), protocol in PROTOCOLS.items():
        if publication != "pearl":
            assert protocol.decoding.tlp is None
            continue
        assert protocol.decoding.tlp == TlpSettings(224 if dataset == "cityscapes" else 80)
        alpha = 0.3 if dataset in ("cityscapes", "ade20k") else 0.08
        assert protocol.method_named("pearl").settings == PearlSettings(alpha)
        plain = PROTOCOLS[dataset, "naclip"]
        assert replace(protocol.decoding, tlp=None) == plain.decoding
        assert protocol.windows == plain.windows


def test_only_rfclip_has_a_prior() -> None:
    found = {key: each.decoding.prior for key, each in PROTOCOLS.items() if each.decoding.prior}
    assert {publication for _, publication in found} == {"rfclip"}
    expected = (0.1, 0.25, 0.25, 0.4, 0.1, 0.25, 0.3, 0.2)
    assert [found[dataset, "rfclip"] for dataset in DATASETS] == list(expected)


def test_only_resclip_has_settings_of_its_methods() -> None:
    for (_, publication), protocol in PROTOCOLS.items():
        if publication != "resclip":
            assert set(protocol.methods) <= {"pearl"}
            continue
        assert list(protocol.methods) == ["resclip", "resclip-sfr"]
        rcs, sfr = resclip_settings(protocol)
        assert rcs.base == "naclip"
        assert sfr.logit_scale == protocol.decoding.logit_scale == 40.0


def resclip_settings(protocol: Protocol) -> tuple[RcsSettings, SfrSettings]:
    """The settings of ResCLIP with feedback; without feedback it has the same."""
    settings = protocol.methods["resclip-sfr"].settings
    assert isinstance(settings, FeedbackSettings)
    assert protocol.methods["resclip"].settings == settings.rcs
    return settings.rcs, settings.sfr


def test_methods_have_the_settings_of_the_data_set() -> None:
    resclip = PROTOCOLS["ade20k", "resclip"]
    assert resclip.method_named("resclip") == METHODS["resclip"]
    for name in ("resclip", "resclip-sfr"):
        ade, voc = (
            PROTOCOLS[dataset, "resclip"].method_named(name) for dataset in ("ade20k", "voc20")
        )
        assert ade.recorded_settings() != voc.recorded_settings()
    assert PROTOCOLS["voc20", "resclip"].method_named("resclip-sfr").settings == FeedbackSettings(
        RcsSettings(share=0.6), SfrSettings(2.1, 0.6, 0.10, path="released")
    )
    assert PROTOCOLS["voc20", "resclip"].method_named("naclip") is METHODS["naclip"]
    with pytest.raises(UnknownNameError, match="method"):
        PROTOCOLS["voc21", "resclip"].method_named("resclop")


def test_the_last_block_is_as_published() -> None:
    for (_, publication), protocol in PROTOCOLS.items():
        method = METHODS[protocol.method]
        if publication == "lht":
            assert (protocol.method, protocol.lht) == ("sclip", True)
            assert (protocol.residual, protocol.mlp) == (False, False)
        else:
            name = publication.removesuffix("-pamr")
            assert (protocol.method, protocol.lht) == (name, False)
            assert (protocol.residual, protocol.mlp) == (method.residual, method.mlp)


def test_lht_is_evaluated_as_sclip() -> None:
    for dataset in DATASETS:
        ours, theirs = PROTOCOLS[dataset, "lht"], PROTOCOLS[dataset, "sclip"]
        assert (ours.windows, ours.decoding) == (theirs.windows, theirs.decoding)
        assert ours.vocabulary() == theirs.vocabulary()
        assert any(note.startswith("Inferred") for note in ours.notes)


# Whose protocol a method gets


@pytest.mark.parametrize(
    ("method", "own", "with_lht"),
    [
        ("clip", "sclip", "lht"),
        ("sclip", "sclip", "lht"),
        ("clearclip", "clearclip", "lht"),
        ("naclip", "naclip", "lht"),
        ("scclip", "scclip", "lht"),
        ("gem", "sclip", "lht"),
        ("pearl", "pearl", "lht"),
        ("rfclip", "rfclip", "lht"),
        ("rfclip-paper", "sclip", "lht"),
        ("resclip", "resclip", "resclip"),
        ("resclip-sfr", "resclip", "resclip"),
    ],
)
def test_whose_protocol_a_method_gets(method: str, own: str, with_lht: str) -> None:
    assert publication_of(method, lht=False) == own
    assert publication_of(method, lht=True) == with_lht


# Words


def test_words() -> None:
    common = {  # classes and phrases
        "voc21": (21, 56),
        "context60": (60, 60),
        "coco_object": (81, 113),
        "voc20": (20, 30),
        "cityscapes": (19, 19),
        "context59": (59, 59),
        "ade20k": (150, 150),
        "coco_stuff171": (171, 171),
    }
    own = {"voc21": (21, 21), "voc20": (20, 20), "coco_object": (81, 81)}
    for (dataset, publication), protocol in PROTOCOLS.items():
        vocabulary = protocol.vocabulary()
        expected = common | own if publication == "clearclip" else common
        assert (len(vocabulary.names), len(vocabulary.queries)) == expected[dataset]
        with_background = dataset in ("voc21", "context60", "coco_object")
        assert vocabulary.background == (0 if with_background else None)
        assert (vocabulary.names[0] == "background") == with_background


def test_background_words_and_synonyms() -> None:
    vocabulary = PROTOCOLS["voc21", "sclip"].vocabulary()
    words = [
        query
        for query, index in zip(vocabulary.queries, vocabulary.class_of_query, strict=True)
        if index == 0
    ]
    assert (len(words), words[0], words[-1]) == (26, "sky", "fence")
    assert vocabulary.class_of_query.count(vocabulary.names.index("person")) == 7
    assert PROTOCOLS["voc21", "clearclip"].vocabulary().queries[0] == "background"


# Data sets that nobody published


@pytest.mark.parametrize("publication", PUBLICATIONS)
def test_other_data_sets_get_the_defaults(publication: str) -> None:
    protocol = protocol_for("scenes", publication)
    pixels = 448 if publication == "clearclip" else 336
    window, stride = (448, 224) if publication == "clearclip" else (224, 112)
    assert protocol.windows == WindowSettings(pixels, 2048, window, stride, resize="opencv")
    scale = 50.0 if publication == "clearclip" else 40.0
    pamr = PamrSettings() if publication == "naclip-pamr" else None
    tlp = TlpSettings() if publication == "pearl" else None
    assert protocol.decoding == DecodeSettings(scale, pamr=pamr, tlp=tlp)
    assert (protocol.dataset, protocol.class_list, protocol.background) == ("scenes", None, False)
    assert ("resclip-sfr" in protocol.methods) == (publication == "resclip")
    assert "Not published for scenes" in protocol.notes[-1]
    with pytest.raises(InputError, match="scenes"):
        protocol.vocabulary()
    scenes = open_dataset("scenes")
    assert protocol.vocabulary(scenes) == own_vocabulary(scenes)


def test_unknown_publications() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'naclip'"):
        protocol_for("voc21", "naclp")


# Reports


def test_a_record_is_described_whole() -> None:
    described = {
        key: json.loads(json.dumps(protocol.describe())) for key, protocol in PROTOCOLS.items()
    }
    assert len({json.dumps(each, sort_keys=True) for each in described.values()}) == 72
    content = described["voc21", "resclip"]
    assert content["windows"] == {
        "short_side": 336,
        "long_side": 2048,
        "window": None,
        "stride": None,
        "resize": "opencv",
        "flip": False,
        "shifts": 1,
        "joint": False,
    }
    assert content["decoding"] == {
        "logit_scale": 40.0,
        "threshold": 0.1,
        "area_threshold": 0.0,
        "pamr": None,
        "tlp": None,
        "prior": 0.0,
        "aliases": None,
        "ptc": None,
    }
    assert content["methods"]["resclip"]["share"] == 0.3
    assert content["methods"]["resclip-sfr"]["sfr"]["threshold"] == 0.5
    assert set(content) == set(Protocol.__dataclass_fields__)
    assert content["class_list"] == "voc21"


def test_the_documentation_shows_every_record() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for lines in (table_of_protocols(), table_of_resclip()):
        table = "\n".join(lines)
        assert table in text, f"docs/reference/protocols.md should hold\n\n{table}"


def table_of_protocols() -> list[str]:
    """Lines of a Markdown table with a row for each data set and a column for each publication."""
    lines = [
        "| | " + " | ".join(f"`{publication}`" for publication in PUBLICATIONS) + " |",
        "| --- |" + " --- |" * len(PUBLICATIONS),
    ]
    for dataset, title in zip(DATASETS, TITLES, strict=True):
        cells = [cell_of(PROTOCOLS[dataset, publication]) for publication in PUBLICATIONS]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return lines


def cell_of(protocol: Protocol) -> str:
    """Say the settings of one record in a table's cell."""
    windows, decoding = protocol.windows, protocol.decoding
    cut = "whole" if windows.window is None else f"{windows.window}/{windows.stride}"
    parts = [f"{windows.short_side}, {cut}, {decoding.logit_scale:g}"]
    if decoding.threshold:
        parts.append(f"p {decoding.threshold:g}")
    if decoding.area_threshold:
        parts.append(f"a {decoding.area_threshold:g}")
    if decoding.prior:
        parts.append(f"w {decoding.prior:g}")
    if decoding.pamr:
        parts.append("PAMR")
    if decoding.tlp:
        parts.append("TLP" if decoding.tlp.grid == 80 else f"TLP {decoding.tlp.grid}")
    return ", ".join(parts)


def table_of_resclip() -> list[str]:
    """Lines of a Markdown table of what ResCLIP sets beside that."""
    lines = ["| | RCS τ | RCS λ | SFR τ | SFR λ | temp_thd |", "| --- |" + " --- |" * 5]
    for dataset, title in zip(DATASETS, TITLES, strict=True):
        rcs, sfr = resclip_settings(PROTOCOLS[dataset, "resclip"])
        values = (rcs.scale, rcs.share, sfr.scale, sfr.share, sfr.threshold)
        lines.append(f"| {title} | " + " | ".join(f"{value:g}" for value in values) + " |")
    return lines
