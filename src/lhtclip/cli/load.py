"""The options of `lhtclip segment` become a segmenter, checked first as far as that goes."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from lhtclip.attention import rule_named
from lhtclip.cli.console import say
from lhtclip.cli.options import SegmentOptions
from lhtclip.clip.hub import BUNDLED, canonical_name
from lhtclip.device import choose_device, choose_dtype
from lhtclip.segmenter import Segmenter, WindowSettings
from lhtclip.techniques.presets import Preset
from lhtclip.templates import resolve_templates

# What decides labels beside model, preset and words.
_DECISIVE = (
    "method",
    "lht",
    "atr",
    "ssr",
    "she",
    "residual",
    "mlp",
    "templates",
    "short_side",
    "window",
    "stride",
    "logit_scale",
    "threshold",
)


def settings_of(options: SegmentOptions) -> dict[str, Any]:
    """Check all that can be checked without the model, and gather what decides labels.

    Raises:
        LhtClipError: Something cannot be used.
    """
    rule_named(options.method)
    choose_dtype(options.dtype, choose_device(options.device))
    resolve_templates(options.templates)
    _windows(options)
    preset = _preset(options)
    return (
        {"model": canonical_name(options.model)}
        | {name: getattr(options, name) for name in _DECISIVE}
        | {"preset": preset and asdict(preset)}
    )


def load_segmenter(options: SegmentOptions) -> Segmenter:
    """Load the model, with a word of warning about the bundled one.

    Raises:
        LhtClipError: There is no such model, or it cannot be used in this way.
    """
    if canonical_name(options.model) == BUNDLED and not options.quiet:
        say(
            "The bundled model knows scenes of emoji only; for photographs take a real CLIP, such "
            "as --model ViT-B-16."
        )
    return Segmenter.from_pretrained(
        options.model,
        method=options.method,
        lht=options.lht,
        ssr=options.ssr,
        atr=options.atr,
        she=options.she,
        residual=options.residual,
        mlp=options.mlp,
        preset=_preset(options),
        templates=options.templates,
        windows=_windows(options),
        logit_scale=options.logit_scale,
        device=options.device,
        dtype=options.dtype,
        max_pixels=options.max_pixels,
    )


def _windows(options: SegmentOptions) -> WindowSettings:
    return WindowSettings(
        short_side=options.short_side,
        window=options.window or None,
        stride=options.stride,
        batch=options.batch,
    )


def _preset(options: SegmentOptions) -> Preset | None:
    return Preset.load(Path(options.preset)) if options.preset else None
