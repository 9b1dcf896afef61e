"""How pixels are normalised, by the files that `transformers` writes beside a `config.json`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from lhtclip.checkpoints.layout import PIXEL_FILE, PROCESSOR_FILE
from lhtclip.clip.config import PixelConfig


def read_pixels(
    directory: Path, default: PixelConfig, read: Callable[[Path], Mapping[str, Any]]
) -> PixelConfig:
    """Read `processor_config.json`, or where it says nothing of images `preprocessor_config.json`.

    The order is that of `transformers`, whose version 5 writes the first of them only.

    Args:
        directory: The folder of a checkpoint.
        default: For what none of the files says.
        read: Reads a JSON object.

    Raises:
        CheckpointError: A file cannot be read or understood.
    """
    processor = directory / PROCESSOR_FILE
    if processor.is_file():
        nested = read(processor).get("image_processor")
        if isinstance(nested, Mapping):
            content = cast("Mapping[str, Any]", nested)
            return PixelConfig.from_json(content, default, file=PROCESSOR_FILE)
    alone = directory / PIXEL_FILE
    content = read(alone) if alone.is_file() else {}
    return PixelConfig.from_json(content, default, file=PIXEL_FILE)
