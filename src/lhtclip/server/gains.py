"""Gains without training in requests: what they change of windows, of decoding and of classes."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import Query

from lhtclip.decoding.aliases import AliasSettings
from lhtclip.decoding.pamr import PamrSettings
from lhtclip.decoding.ptc import PtcSettings
from lhtclip.decoding.settings import DecodeSettings
from lhtclip.decoding.tlp import TlpSettings
from lhtclip.image.windows import WindowSettings
from lhtclip.server.problems import Problem
from lhtclip.server.schemas import Aliases, Gains, Refiner

_OF_WINDOWS = ("flip", "shifts", "joint")


def window_changes(gains: Gains | None) -> dict[str, Any]:
    """Return what gains change in how an image is encoded, as fields of `WindowSettings`."""
    if gains is None:
        return {}
    changes = {name: getattr(gains, name) for name in _OF_WINDOWS}
    sides = gains.short_side
    changes["short_side"] = WindowSettings(tuple(sides)).short_side if sides else None
    return {name: value for name, value in changes.items() if value is not None}


def decoding_with(own: DecodeSettings, gains: Gains | None) -> DecodeSettings:
    """Return settings with what gains change in how logits become labels."""
    if gains is None:
        return own
    changes: dict[str, Any] = {}
    if gains.refine is not None:
        changes["pamr"] = PamrSettings() if gains.refine == "pamr" else None
        changes["tlp"] = TlpSettings() if gains.refine == "tlp" else None
    if gains.prior is not None:
        changes["prior"] = gains.prior
    if gains.calibrate_texts is not None:
        changes["ptc"] = PtcSettings() if gains.calibrate_texts else None
    if gains.aliases is not None:
        changes["aliases"] = AliasSettings() if gains.aliases != "none" else None
    return replace(own, **changes)


def gains_of(
    windows: WindowSettings, decoding: DecodeSettings, aliases: str | None
) -> dict[str, Any]:
    """Return all gains as a server has them, by the names of `Gains`."""
    return {
        "refine": "pamr" if decoding.pamr else "tlp" if decoding.tlp else "none",
        "prior": decoding.prior,
        **{name: getattr(windows, name) for name in _OF_WINDOWS},
        "short_side": list(windows.short_sides),
        "calibrate_texts": decoding.ptc is not None,
        "aliases": "none" if decoding.aliases is None else aliases or "given",
    }


async def gains_in_query(
    refine: Annotated[Refiner | None, Query()] = None,
    prior: Annotated[float | None, Query(ge=-1, lt=1)] = None,
    flip: Annotated[bool | None, Query()] = None,
    shifts: Annotated[int | None, Query(ge=1, le=4)] = None,
    short_side: Annotated[str | None, Query(examples=["336,448"])] = None,
    joint: Annotated[bool | None, Query()] = None,
    calibrate_texts: Annotated[bool | None, Query()] = None,
    aliases: Annotated[Aliases | None, Query()] = None,
) -> Gains:
    """Read gains from a query, in which each has a parameter of its own."""
    try:
        return Gains(
            refine=refine,
            prior=prior,
            flip=flip,
            shifts=shifts,
            short_side=[int(side) for side in short_side.split(",")] if short_side else None,
            joint=joint,
            calibrate_texts=calibrate_texts,
            aliases=aliases,
        )
    except ValueError as error:
        raise Problem(
            422, "parameters", f"short_side takes 1 to 4 lengths, 32 to 2048; got {short_side!r}."
        ) from error
