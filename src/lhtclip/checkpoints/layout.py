"""The file names of a checkpoint's folder, in the two known layouts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Layout:
    """A configuration file that identifies the layout, and weights, in order of preference."""

    config_file: str
    weight_files: tuple[str, str]


TRANSFORMERS = Layout("config.json", ("model.safetensors", "pytorch_model.bin"))
OPEN_CLIP = Layout(
    "open_clip_config.json", ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
)
LAYOUTS = (TRANSFORMERS, OPEN_CLIP)  # a folder in both is read as the first
WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pth", ".ckpt")  # of weights by any program
TOKENIZER_FILE = "tokenizer.json"
PIXEL_FILE = "preprocessor_config.json"  # of `transformers`, optional
PROCESSOR_FILE = "processor_config.json"  # of its version 5, optional


def layout_of(folder: Path) -> Layout | None:
    """Return the layout whose configuration file is in the folder."""
    return next((layout for layout in LAYOUTS if (folder / layout.config_file).is_file()), None)
