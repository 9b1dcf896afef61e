"""Options to a configuration, checked as far as possible without the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lhtclip.checkpoints.hub import canonical_name
from lhtclip.checkpoints.known_models import BUNDLED
from lhtclip.cli.console import say
from lhtclip.config import SegmenterConfig
from lhtclip.decoding.aliases import AliasSettings
from lhtclip.decoding.pamr import PamrSettings
from lhtclip.decoding.ptc import PtcSettings
from lhtclip.decoding.settings import DecodeSettings
from lhtclip.decoding.tlp import TlpSettings
from lhtclip.errors import InputError
from lhtclip.image.settings import ReadingSettings
from lhtclip.image.windows import WindowSettings
from lhtclip.methods import method_named
from lhtclip.methods.changes import parse_settings, with_settings
from lhtclip.techniques import TECHNIQUES
from lhtclip.techniques.presets import Preset
from lhtclip.techniques.settings import Lht

_AS_THEY_ARE = (
    *("model", "method", "residual", "mlp", "templates", "engine", "graph", "device", "dtype"),
    "max_pixels",
)
_WINDOWS = ("short_side", "stride", "batch", "resize", "flip", "shifts", "joint")
_DECODING = ("logit_scale", "threshold", "prior")


def config_of(given: Mapping[str, Any]) -> SegmenterConfig:
    """Make a configuration of the options of a command; missing ones keep their defaults.

    Raises:
        LhtClipError: An option cannot be used.
    """
    settings = {name: given[name] for name in _AS_THEY_ARE if name in given}
    if given.get("method_settings"):
        changes = parse_settings(given["method_settings"])
        settings["method"] = with_settings(method_named(given["method"]), changes)
    if "lht" in given:
        settings["lht"] = _lht(given)
    if given.get("preset"):
        settings["preset"] = Preset.load(Path(given["preset"]))
    if "refine" in given:
        windows = {name: given[name] for name in _WINDOWS if name in given}
        if "window" in given:
            windows["window"] = given["window"] or None
        settings["windows"] = WindowSettings(**windows)
        decoding = DecodeSettings(**{name: given[name] for name in _DECODING if name in given})
        if given.get("aliases") is not None:
            decoding = replace(decoding, aliases=AliasSettings())
        if given.get("calibrate_texts"):
            decoding = replace(decoding, ptc=PtcSettings())
        settings["decoding"] = refined_by(decoding, given["refine"])
    if "range" in given:
        settings["reading"] = ReadingSettings(
            range=given["range"], bands=given["bands"], alpha=given["alpha"]
        )
    return SegmenterConfig(**settings)


def refined_by(decoding: DecodeSettings, refiner: str) -> DecodeSettings:
    """Return the settings with the refiner of --refine, or none."""
    return replace(
        decoding,
        pamr=PamrSettings() if refiner == "pamr" else None,
        tlp=TlpSettings() if refiner == "tlp" else None,
    )


def _lht(given: Mapping[str, Any]) -> Lht:
    """Combine --lht with the switches of single techniques."""
    switches = {name: given[name] for name in TECHNIQUES if given[name] is not None}
    if given.get("atr_by"):
        if given["atr"] is False:
            raise InputError("--atr-by switches ATR on: leave out --no-atr, or --atr-by.")
        switches["atr"] = given["atr_by"]
    if not switches:
        return bool(given["lht"])
    return switches if given["lht"] else dict.fromkeys(TECHNIQUES, False) | switches


def warn_if_bundled(model: str) -> None:
    """Warn that the bundled model is not for photographs."""
    if canonical_name(model) == BUNDLED:
        say(
            "The bundled model knows only scenes of emoji; for photographs use a real CLIP, such "
            "as --model ViT-B-16."
        )
