"""Options become a segmenter, checked first as far as that goes without the model."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from lhtclip.checkpoints.device import choose_device, choose_dtype
from lhtclip.checkpoints.hub import BUNDLED, canonical_name
from lhtclip.cli.console import say
from lhtclip.cli.options import ModelOptions, SegmentOptions
from lhtclip.engines import check_engine
from lhtclip.methods import method_named
from lhtclip.segmenter import Segmenter, WindowSettings
from lhtclip.techniques.presets import Preset
from lhtclip.text.templates import resolve_templates

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
    "pamr",
    "threshold",
    "graph",
    "range",
    "bands",
    "alpha",
)


def settings_of(options: SegmentOptions) -> dict[str, Any]:
    """Check all that can be checked without the model, and gather what decides labels.

    Raises:
        LhtClipError: Something cannot be used.
    """
    check_model(options)
    resolve_templates(options.templates)
    _windows(options)
    options.reading()
    preset = _preset(options)
    return (
        {"model": canonical_name(options.model)}
        | {name: getattr(options, name) for name in _DECISIVE}
        | {"preset": preset and {name: asdict(preset)[name] for name in ("ssr", "atr", "she")}}
    )


def check_model(options: ModelOptions) -> None:
    """Check all about model, method and machine that can be checked without loading anything.

    Raises:
        LhtClipError: Something cannot be used.
    """
    canonical_name(options.model)
    method_named(options.method)
    device, dtype = check_engine(
        options.engine, graph=options.graph, device=options.device, dtype=options.dtype
    )
    choose_dtype(dtype, choose_device(device))
    _preset(options)


def load_segmenter(options: SegmentOptions) -> Segmenter:
    """Load the model, with a word of warning about the bundled one.

    Raises:
        LhtClipError: There is no such model, or it cannot be used in this way.
    """
    warn_if_bundled(options)
    return load_model(
        options,
        templates=options.templates,
        windows=_windows(options),
        logit_scale=options.logit_scale,
        pamr=options.pamr,
        reading=options.reading(),
    )


def load_model(options: ModelOptions, **settings: Any) -> Segmenter:
    """Load the model with further settings of `Segmenter.from_pretrained`.

    Raises:
        LhtClipError: There is no such model, or it cannot be used in this way.
    """
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
        device=options.device,
        dtype=options.dtype,
        engine=options.engine,
        graph=options.graph,
        max_pixels=options.max_pixels,
        **settings,
    )


def warn_if_bundled(options: ModelOptions) -> None:
    """Say what the bundled model is not for."""
    if canonical_name(options.model) == BUNDLED and not options.quiet:
        say(
            "The bundled model knows scenes of emoji only; for photographs take a real CLIP, such "
            "as --model ViT-B-16."
        )


def _windows(options: SegmentOptions) -> WindowSettings:
    return WindowSettings(
        short_side=options.short_side,
        window=options.window or None,
        stride=options.stride,
        batch=options.batch,
    )


def _preset(options: ModelOptions) -> Preset | None:
    return Preset.load(Path(options.preset)) if options.preset else None
