"""OpenVINO, on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lhtclip.engines.run import Run
from lhtclip.extras import import_extra


def open_graph(path: Path) -> Run:
    """Load a graph, with as many threads as torch has and in float32 throughout.

    Raises:
        MissingDependencyError: The package `openvino` is not installed.
    """
    openvino = import_extra("openvino", purpose="Graphs on the engine 'openvino'")
    compiled = openvino.Core().compile_model(
        str(path),
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": "f32",  # where there are bfloat16 units it would use them
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        },
    )

    def run(pixels: NDArray[np.float32], texts: NDArray[np.float32]) -> NDArray[np.float32]:
        return compiled([pixels, texts])[0].copy()  # the next run writes where this one did

    return run
