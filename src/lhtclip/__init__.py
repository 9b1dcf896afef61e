"""LHT-CLIP: a frozen CLIP labels every pixel with one of your words (arXiv 2510.23894)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lhtclip.encoder import DenseEncoder
    from lhtclip.errors import LhtClipError
    from lhtclip.methods import METHODS, LastBlock, Method
    from lhtclip.segmentation import Segmentation
    from lhtclip.segmenter import EncodedImage, Segmenter, WindowSettings
    from lhtclip.techniques.atr import AtrSettings
    from lhtclip.techniques.presets import Preset
    from lhtclip.techniques.settings import LhtSettings
    from lhtclip.techniques.she import SheSettings
    from lhtclip.techniques.ssr import SsrSettings

__version__ = "0.1.0"

__all__ = [
    "METHODS",
    "AtrSettings",
    "DenseEncoder",
    "EncodedImage",
    "LastBlock",
    "LhtClipError",
    "LhtSettings",
    "Method",
    "Preset",
    "Segmentation",
    "Segmenter",
    "SheSettings",
    "SsrSettings",
    "WindowSettings",
    "__version__",
]

# Where each public name lives. Nothing is imported before it is asked for, so that
# `lhtclip --help` answers without waiting for torch.
_HOMES = {
    "METHODS": "methods",
    "AtrSettings": "techniques.atr",
    "DenseEncoder": "encoder",
    "EncodedImage": "encoded_image",
    "LastBlock": "methods",
    "Method": "methods",
    "LhtClipError": "errors",
    "LhtSettings": "techniques.settings",
    "Preset": "techniques.presets",
    "Segmentation": "segmentation",
    "Segmenter": "segmenter",
    "SheSettings": "techniques.she",
    "SsrSettings": "techniques.ssr",
    "WindowSettings": "image.windows",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
