"""The description inside a graph: which encoder it was made from, and which pixels it takes.

It is part of the file's metadata, as JSON under the key "lhtclip".
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lhtclip import __version__
from lhtclip.clip.config import PixelConfig
from lhtclip.encoder import DenseEncoder
from lhtclip.errors import InputError
from lhtclip.extras import import_extra
from lhtclip.files.json_files import parse_json
from lhtclip.files.regular_files import refuse_special

KEY = "lhtclip"
FORMAT = 1  # raise it when older graphs can no longer be run


@dataclass(frozen=True, slots=True)
class GraphDescription:
    """What is written into a graph.

    Attributes:
        settings: Everything that its embeddings depend on, from `DenseEncoder.settings`.
        patch: Side of a patch in pixels; the sides of windows are multiples of it.
        width: E, the length of the embeddings of texts and patches.
        pixels: How levels in [0, 1] are normalised.
        int8: Whether weights were rounded to 8 bits.
        version: Of the package that wrote it.
        format: Of this description.
    """

    settings: dict[str, Any]
    patch: int
    width: int
    pixels: PixelConfig
    int8: bool
    version: str = __version__
    format: int = FORMAT

    @classmethod
    def of(cls, encoder: DenseEncoder, pixels: PixelConfig, *, int8: bool) -> GraphDescription:
        """Describe the graph of an encoder."""
        config = encoder.model.config
        patch, width = config.vision.patch_size, config.projection_dim
        return cls(encoder.settings(), patch, width, pixels, int8)

    def to_json(self) -> str:
        """Return the text for the metadata."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, path: Path) -> GraphDescription:
        """Read the description of a graph.

        Raises:
            MissingDependencyError: The package `onnx` is not installed.
            InputError: There is no such file, or `lhtclip export` did not write it.
        """
        onnx = import_extra("onnx", purpose="Graphs")
        refuse_special(path)
        if not path.is_file():
            raise InputError(f"There is no graph {path}: write one with `lhtclip export`.")
        try:
            metadata = onnx.load(str(path), load_external_data=False).metadata_props
            content = parse_json({entry.key: entry.value for entry in metadata}[KEY])
            pixels = {name: tuple(levels) for name, levels in content["pixels"].items()}
            return cls(**content | {"pixels": PixelConfig(**pixels)})
        except Exception as error:  # a broken protobuf raises what it likes
            raise InputError(
                f"{path} is not a graph of this version's `lhtclip export`: export it again."
            ) from error

    def check_made_from(self, encoder: DenseEncoder, path: Path) -> None:
        """Compare with the encoder that is to be run.

        Raises:
            InputError: The graph was made from another encoder; the message names what differs.
        """
        wanted = encoder.settings()
        if self.format == FORMAT and self.settings == wanted:
            return
        names = [name for name in wanted if self.settings.get(name) != wanted[name]]
        differing = ", ".join(name.replace("_", " ") for name in names) or "format"
        raise InputError(
            f"The graph {path} was exported from another encoder; they differ in {differing}. "
            "Use the options that it was exported with, or export it again with these."
        )
