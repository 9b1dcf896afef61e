"""An exported graph in the place of the encoder that it was made from."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lhtclip.clip.config import PixelConfig
from lhtclip.encoder import DenseEncoder
from lhtclip.engines.export import check_exportable, export_graph
from lhtclip.engines.graph_description import FORMAT, GraphDescription
from lhtclip.engines.onnx_runtime import Run
from lhtclip.errors import InputError, OutputError
from lhtclip.files import write_atomically
from lhtclip.files.cache import cache_folder
from lhtclip.files.digests import sha256_of_file
from lhtclip.files.regular_files import read_regular

_DIGITS = 64  # of a SHA-256
_OTHERWISE = "set LHTCLIP_CACHE, or name a graph that `lhtclip export` wrote"
_logger = logging.getLogger("lhtclip")


class GraphEncoder:
    """Pixels to patch embeddings, computed by a graph.

    A graph returns the logits of texts. With the identity matrix as texts, these are the
    embeddings, so words can be changed without running it again.
    """

    def __init__(self, engine: str, run: Run, encoder: DenseEncoder) -> None:
        """Put a graph in an encoder's place.

        Args:
            engine: Its name in reports, "onnx" or "onnx int8".
            run: The opened graph.
            encoder: Whose graph it is.
        """
        config = encoder.model.config
        self.engine = engine
        self._alone = engine.endswith("int8")
        self._run, self._patch = run, config.vision.patch_size
        self._identity = np.eye(config.projection_dim, dtype=np.float32)

    def __call__(self, pixels: Tensor) -> Tensor:
        """Encode a batch, as `DenseEncoder` does."""
        height, width = (length - length % self._patch for length in pixels.shape[-2:])
        whole = pixels[..., :height, :width].contiguous()
        # An int8 graph rounds activations by their range over the batch, so a window gets a pass of
        # its own: its embeddings must not depend on what else there is.
        passes = whole.split(1) if self._alone else (whole,)
        found = [self._run(each.numpy(), self._identity) for each in passes]
        return torch.from_numpy(np.concatenate(found))


def graph_of(
    encoder: DenseEncoder, *, pixels: PixelConfig, graph: Path | None
) -> tuple[Path, bool]:
    """Find a graph of an encoder: the given one, or one that is kept in the cache.

    One in the cache is used if it is what was written; otherwise it is made again.

    Returns:
        The file, and whether its weights are rounded to 8 bits.

    Raises:
        InputError: The given one is of another encoder, this encoder can have none, or the cache
            cannot be written to.
        MissingDependencyError: A package that is needed to read or write it is not installed.
    """
    check_exportable(encoder)
    if graph is not None:
        description = GraphDescription.read(graph)
        description.check_made_from(encoder, graph)
        return graph, description.int8
    content = json.dumps([FORMAT, encoder.settings()])
    name = hashlib.sha256(content.encode()).hexdigest()
    try:
        path = cache_folder() / "graphs" / f"{name}.onnx"
    except RuntimeError as error:  # no home folder
        raise InputError(f"There is no folder to keep a graph in: {_OTHERWISE}.") from error
    if not _is_kept(path):
        _logger.warning("Making a graph of the image tower, once; it is kept as %s.", path)
        try:
            export_graph(encoder, path, pixels=pixels)
            write_atomically(_digest_file(path), _digest_of(path).encode())
        except OutputError as error:
            raise OutputError(f"{error} For graphs, {_OTHERWISE}.") from error
    return path, False


def _is_kept(path: Path) -> bool:
    """Whether a graph is in the cache, as it was written; says so if it is another."""
    if not path.is_file():
        return False
    try:
        kept = read_regular(_digest_file(path), most=_DIGITS).decode() == _digest_of(path)
    except (OSError, ValueError):
        kept = False
    if not kept:
        _logger.warning("The graph %s is not what was written: it is made again.", path)
    return kept


def _digest_file(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _digest_of(path: Path) -> str:
    """Return the SHA-256 of a graph, and of its second file of weights if it has one."""
    files = (path, path.with_name(f"{path.name}.data"))
    digests = "".join(sha256_of_file(file) for file in files if file.is_file())
    return hashlib.sha256(digests.encode()).hexdigest()
