"""The switches of `lhtclip reproduce stack`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lhtclip.decoding.aliases import AliasSettings
from lhtclip.decoding.pamr import PamrSettings
from lhtclip.decoding.ptc import PtcSettings
from lhtclip.decoding.tlp import TlpSettings
from lhtclip.evaluation.published_protocols import PROTOCOLS, protocol_for
from lhtclip.paper.gains import GAINS, unsuited, with_gains
from lhtclip.paper.reproduce import protocol_of
from lhtclip.paper.tables import STACK

PLAIN = PROTOCOLS["voc21", "lht"]


def test_each_changes_one_setting() -> None:
    windows, decoding = PLAIN.windows, PLAIN.decoding
    expected = {
        "pamr": replace(PLAIN, decoding=replace(decoding, pamr=PamrSettings())),
        "tlp": replace(PLAIN, decoding=replace(decoding, tlp=TlpSettings())),
        "prior": replace(PLAIN, decoding=replace(decoding, prior=0.2)),
        "texts": replace(PLAIN, decoding=replace(decoding, ptc=PtcSettings())),
        "flip": replace(PLAIN, windows=replace(windows, flip=True)),
        "shifts": replace(PLAIN, windows=replace(windows, shifts=2)),
        "joint": replace(PLAIN, windows=replace(windows, joint=True)),
        "background-word": replace(PLAIN, background_words="background"),
        "background-auto": replace(PLAIN, background_words="auto"),
        "aliases": replace(
            PLAIN, aliases="common", decoding=replace(decoding, aliases=AliasSettings())
        ),
        "scales": replace(PLAIN, windows=replace(windows, short_side=(252, 336, 448))),
    }
    assert {name: with_gains(PLAIN, [name]) for name in GAINS} == expected


@pytest.mark.parametrize("row", STACK, ids=lambda row: row.title)
def test_rows_are_lht_by_its_protocol_with_their_gains(row: object) -> None:
    (found,) = (each for each in STACK if each is row)
    assert protocol_of(found, "voc21") == with_gains(PLAIN, found.gains)
    assert (found.ssr, found.she, found.bare) == ("preset", "preset", True)
    assert found.atr == ("channels" if "channels" in found.title else "preset")


def test_background_words_need_a_background() -> None:
    assert unsuited(PLAIN, ["background-word"]) is None
    scenes = protocol_for("scenes", "lht")
    assert unsuited(scenes, ["background-word", "flip"]) == "there is no background class"
    assert unsuited(scenes, ["flip"]) is None


def test_the_words_chosen_for_voc21_are_the_published_ones() -> None:
    chosen, plain = (with_gains(PLAIN, [f"background-{kind}"]) for kind in ("auto", "word"))
    assert chosen.vocabulary() == PLAIN.vocabulary()
    assert plain.vocabulary().queries[:2] == ("background", "aeroplane")


def test_aliases_are_added_to_the_published_words() -> None:
    plain, further = PLAIN.vocabulary(), with_gains(PLAIN, ["aliases"]).vocabulary()
    assert further.names == plain.names
    assert set(plain.queries) < set(further.queries)
    assert {"puppy", "aircraft"} < set(further.queries)


def test_every_gain_has_a_row_of_its_own() -> None:
    alone = {row.gains[0] for row in STACK if len(row.gains) == 1}
    assert alone == set(GAINS)
    assert STACK[0].gains == ()
