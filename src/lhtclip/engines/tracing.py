"""A torch module becomes an ONNX file."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lhtclip.errors import LhtClipError

_MOST_BYTES = 1.9e9  # of weights in one file; the limit of protobuf is 2 GB


def trace(
    module: nn.Module,
    example: tuple[Tensor, ...],
    shapes: Mapping[str, dict[int, Any]],
    output: str,
    path: Path,
    *,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write the graph of a module; weights of more than 2 GB go to `<path>.data`.

    Args:
        module: In float32, on the CPU.
        example: One tensor for each input.
        shapes: The free dimensions of each input, by its name, in the order of the arguments.
        output: Name of the output.
        path: Where to.
        metadata: What else the file says.

    Raises:
        LhtClipError: torch made no graph.
    """
    with torch.inference_mode(mode=False), torch.no_grad(), _quiet():
        program = torch.onnx.export(
            module.eval(),
            example,
            dynamo=True,
            verbose=False,
            input_names=list(shapes),
            output_names=[output],
            dynamic_shapes=dict(shapes),
        )
    if program is None:
        raise LhtClipError("torch.onnx.export gave no graph.")
    program.model.metadata_props.update(metadata or {})
    weights = sum(each.numel() * each.element_size() for each in module.parameters())
    program.save(path, external_data=weights > _MOST_BYTES)
    return path


@contextmanager
def _quiet() -> Generator[None, None, None]:
    """Silence the exporter's warnings about its own libraries."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
