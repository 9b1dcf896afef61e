"""How pixels are normalised: the files that `transformers` writes next to a `config.json`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from lhtclip.checkpoints.layout import PIXEL_FILE, PROCESSOR_FILE
from lhtclip.clip.config import PixelConfig


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
    processor = directory / PROCESSOR_FILE
    if processor.is_file():
        whole = read(processor)
        nested = whole.get("image_processor", whole if "image_mean" in whole else None)
        if isinstance(nested, Mapping):
            content = cast("Mapping[str, Any]", nested)
            return PixelConfig.from_json(content, default, file=PROCESSOR_FILE)
    alone = directory / PIXEL_FILE
    content = read(alone) if alone.is_file() else {}
    return PixelConfig.from_json(content, default, file=PIXEL_FILE)
