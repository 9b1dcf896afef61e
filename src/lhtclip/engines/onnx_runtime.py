"""ONNX Runtime, on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from lhtclip.errors import InputError
from lhtclip.extras import import_extra

# Pixels (batch, 3, height, width) and texts (queries, E) -> (batch, rows, columns, queries),
# all of them float32.
Run: TypeAlias = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]

_ERRORS_ONLY = 3


def open_graph(path: Path) -> Run:
    """Load a graph of `export_graph`, with as many threads as torch has.

    Raises:
        MissingDependencyError: The package `onnxruntime` is not installed.
    """
    session = open_session(path)
    names = [each.name for each in session.get_inputs()]

    def run(pixels: NDArray[np.float32], texts: NDArray[np.float32]) -> NDArray[np.float32]:
        return session.run(None, dict(zip(names, (pixels, texts), strict=True)))[0]

    return run


def open_session(path: Path) -> Any:
    """Load any graph, with as many threads as torch has.

    Raises:
        MissingDependencyError: The package `onnxruntime` is not installed.
        InputError: The file is not a graph that it can run.
    """
    runtime = import_extra("onnxruntime", purpose="Graphs on the engine 'onnx'")
    options = runtime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = torch.get_num_threads()
    # Its threads would go on spinning after a batch, on the cores that decoding needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return runtime.InferenceSession(
            str(path),
            options,
            providers=["CPUExecutionProvider"],
            enable_fallback=0,  # to the same provider, with a message on stdout
        )
    except Exception as error:  # its errors have no common base class
        reason = str(error).partition("\n")[0]
        raise InputError(f"ONNX Runtime cannot run {path}: {reason}. Export it again.") from error
