"""Gains without training or labels, as changes of a protocol; see `lhtclip reproduce stack`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from lhtclip.decoding.aliases import AliasSettings
from lhtclip.decoding.pamr import PamrSettings
from lhtclip.decoding.ptc import PtcSettings
from lhtclip.decoding.tlp import TlpSettings
from lhtclip.evaluation.protocol import Protocol
from lhtclip.text.aliases import COMMON
from lhtclip.text.background import AUTO, PLAIN

PRIOR = 0.2  # in the middle of what is published per data set, 0.1 to 0.4


def _pamr(protocol: Protocol) -> Protocol:
    return replace(protocol, decoding=replace(protocol.decoding, pamr=PamrSettings()))


def _tlp(protocol: Protocol) -> Protocol:
    return replace(protocol, decoding=replace(protocol.decoding, tlp=TlpSettings()))


def _prior(protocol: Protocol) -> Protocol:
    return replace(protocol, decoding=replace(protocol.decoding, prior=PRIOR))


def _texts(protocol: Protocol) -> Protocol:
    return replace(protocol, decoding=replace(protocol.decoding, ptc=PtcSettings()))


def _flip(protocol: Protocol) -> Protocol:
    return replace(protocol, windows=replace(protocol.windows, flip=True))


def _shifts(protocol: Protocol) -> Protocol:
    return replace(protocol, windows=replace(protocol.windows, shifts=2))


def _joint(protocol: Protocol) -> Protocol:
    return replace(protocol, windows=replace(protocol.windows, joint=True))


def _scales(protocol: Protocol) -> Protocol:
    (side,) = protocol.windows.short_sides
    sides = (side * 3 // 4, side, side * 4 // 3)
    return replace(protocol, windows=replace(protocol.windows, short_side=sides))


def _aliases(protocol: Protocol) -> Protocol:
    decoding = replace(protocol.decoding, aliases=AliasSettings())
    return replace(protocol, aliases=COMMON, decoding=decoding)


def _words(words: str) -> Callable[[Protocol], Protocol]:
    return lambda protocol: replace(protocol, background_words=words)


GAINS: Mapping[str, Callable[[Protocol], Protocol]] = {
    "pamr": _pamr,
    "tlp": _tlp,
    "prior": _prior,
    "texts": _texts,
    "flip": _flip,
    "shifts": _shifts,
    "joint": _joint,
    "scales": _scales,
    "aliases": _aliases,
    "background-word": _words(PLAIN),
    "background-auto": _words(AUTO),
}


def unsuited(protocol: Protocol, names: Sequence[str]) -> str | None:
    """Return why gains cannot be measured by a protocol, or None if they can."""
    if not protocol.background and any(name.startswith("background") for name in names):
        return "there is no background class"
    return None


def with_gains(protocol: Protocol, names: Sequence[str]) -> Protocol:
    """Switch gains on, by their names in `GAINS`."""
    for name in names:
        protocol = GAINS[name](protocol)
    return protocol
