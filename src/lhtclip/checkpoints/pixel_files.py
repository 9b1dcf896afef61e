"""How pixels are normalised: the files that `transformers` writes next to a `config.json`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from lhtclip.checkpoints.layout import PIXEL_FILE, PROCESSOR_FILE
from lhtclip.clip.config import PixelConfig

_logger = logging.getLogger("lhtclip")


def read_pixels(
    directory: Path, default: PixelConfig, read: Callable[[Path], Mapping[str, Any]]
) -> PixelConfig:
    """Read `processor_config.json`, or `preprocessor_config.json` if it says nothing about images.

    The order is that of `transformers`, whose version 5 writes only the first.

    Args:
        directory: The folder of a checkpoint.
        default: The settings that no file has.
        read: Reads a JSON object.

    Raises:
        CheckpointError: A file cannot be read or understood.
    """
    found: dict[str, PixelConfig] = {}
    for file, part in ((PROCESSOR_FILE, _about_images), (PIXEL_FILE, dict[str, Any])):
        content = part(read(directory / file)) if (directory / file).exists() else None
        if content is not None:
            found[file] = PixelConfig.from_json(content, default, file=file)
    if len(set(found.values())) > 1:
        _logger.warning(
            "%s: %s and %s normalise pixels differently; the first counts, as in transformers.",
            directory,
            *found,
        )
    return next(iter(found.values()), PixelConfig.from_json({}, default, file=PIXEL_FILE))


def _about_images(content: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a processor's file says about images; None for nothing."""
    nested = content.get("image_processor", content if "image_mean" in content else None)
    return dict(cast("Mapping[str, Any]", nested)) if isinstance(nested, Mapping) else None
