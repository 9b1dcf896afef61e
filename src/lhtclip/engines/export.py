"""The encoder becomes an ONNX graph: windows and texts in, logits of every patch out.

The method and the techniques are part of it. The graph takes any number of windows, of any size in
whole patches, and any number of words. It is compared with torch before it is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim

from lhtclip.checkpoints.device import dtype_name
from lhtclip.clip.config import PixelConfig
from lhtclip.encoder import DenseEncoder
from lhtclip.engines.graph_description import KEY, GraphDescription
from lhtclip.engines.int8 import round_weights
from lhtclip.engines.onnx_runtime import open_graph
from lhtclip.engines.tracing import trace
from lhtclip.errors import InputError, LhtClipError
from lhtclip.extras import import_extra
from lhtclip.files import put, unwritable
from lhtclip.files.temporaries import temporary_beside

PIXELS, TEXTS, LOGITS = "pixels", "texts", "logits"
TOLERANCE = 1e-3  # between the cosines of a graph and of torch
_MOST_PATCHES = 4096  # along one side of a window


@dataclass(frozen=True, slots=True)
class Agreement:
    """How near a graph is to torch, on noise.

    Attributes:
        difference: The largest difference between logits, which are cosines.
        cosine: The mean cosine between the embeddings of a patch.
    """

    difference: float
    cosine: float


class LogitsGraph(nn.Module):
    """What is traced: (batch, 3, height, width), (queries, E) -> (batch, rows, columns, queries).

    Texts are of unit length, so logits are cosines; with the identity as texts they are the
    embeddings themselves.
    """

    def __init__(self, encoder: DenseEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.vision = encoder.model.vision  # its weights are those of this module, too

    def forward(self, pixels: Tensor, texts: Tensor) -> Tensor:
        """Encode and compare."""
        return self.encoder(pixels) @ texts.T


def export_graph(
    encoder: DenseEncoder, path: Path, *, pixels: PixelConfig, int8: bool = False
) -> Agreement:
    """Write the graph of an encoder.

    Weights of more than 2 GB go to a second file next to it, `<name>.data`.

    Args:
        encoder: In float32, on the CPU.
        path: Where to; an older file is replaced.
        pixels: How levels are normalised; noted in the file.
        int8: Round weights to 8 bits, and activations as they come: a quarter of the size.

    Returns:
        How near the graph is to torch.

    Raises:
        MissingDependencyError: One of the packages of the extra "onnx" is not installed.
        InputError: The encoder cannot become a graph, or the file cannot be written.
        LhtClipError: The graph differs from torch; nothing is written.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        import_extra(package, purpose="Graphs")
    check_exportable(encoder)
    description = GraphDescription.of(encoder, pixels, int8=int8)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_beside(path) as place:
            whole, rounded = place / "float32", place / "int8"
            for folder in (whole, rounded):
                folder.mkdir(parents=True)
            written = _trace(encoder, whole / path.name, description)
            if int8:
                written = round_weights(written, rounded / path.name)
            agreement = _compare(encoder, written)
            if not int8 and agreement.difference > TOLERANCE:
                raise LhtClipError(
                    f"The graph's logits differ from torch's by {agreement.difference:.1e}, which "
                    f"is more than {TOLERANCE:g}, so it was not written. Please report this with "
                    "the versions of torch, onnxscript and onnxruntime."
                )
            for file in sorted(written.parent.iterdir(), key=lambda file: file == written):
                put(file, path.parent / file.name)  # the graph itself comes last
    except OSError as error:
        raise unwritable(path, error) from error
    return agreement


def check_exportable(encoder: DenseEncoder) -> None:
    """Refuse encoders that cannot become a graph.

    Raises:
        InputError: The method is not exportable, or the weights are not float32 on the CPU.
    """
    method, vision = encoder.method, encoder.model.vision
    if not method.exportable:
        raise InputError(
            f"The method {method.name!r} cannot become a graph: use another method, or the engine "
            "'torch'."
        )
    if (vision.dtype, vision.device.type) != (torch.float32, "cpu"):
        raise InputError(
            "Graphs are made from float32 weights on the CPU. These are "
            f"{dtype_name(vision.dtype)} on {vision.device.type}."
        )


def _trace(encoder: DenseEncoder, path: Path, description: GraphDescription) -> Path:
    patch, vision = description.patch, encoder.model.vision
    rows, columns = Dim("rows", min=1, max=_MOST_PATCHES), Dim("columns", min=1, max=_MOST_PATCHES)
    side = vision.config.grid_size + 1  # not the trained grid, for which there is a shortcut
    example = (torch.zeros(2, 3, side * patch, (side + 1) * patch), torch.eye(3, description.width))
    shapes = {
        PIXELS: {0: Dim("batch"), 2: patch * rows, 3: patch * columns},
        TEXTS: {0: Dim("queries")},
    }
    metadata = {KEY: description.to_json()}
    return trace(LogitsGraph(encoder), example, shapes, LOGITS, path, metadata=metadata)


def _compare(encoder: DenseEncoder, path: Path) -> Agreement:
    """Run graph and torch side by side, on the trained grid and on another."""
    run, config = open_graph(path), encoder.model.config
    generator = torch.Generator().manual_seed(0)
    side, patch = config.vision.grid_size, config.vision.patch_size
    texts = torch.eye(config.projection_dim)
    differences: list[Tensor] = []
    cosines: list[Tensor] = []
    for batch, rows, columns in ((2, side, side), (1, side, side + 3)):
        windows = torch.randn(batch, 3, rows * patch, columns * patch, generator=generator)
        found = torch.from_numpy(run(windows.numpy(), texts.numpy()))
        with torch.inference_mode():
            wanted = encoder(windows)
        differences.append((found - wanted).abs().max())
        cosines.append(F.cosine_similarity(found, wanted, dim=-1).flatten())
    return Agreement(float(torch.stack(differences).max()), float(torch.cat(cosines).mean()))
