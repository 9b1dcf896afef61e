"""What everything literal stands on: arrays of float64, the parts of a block but attention."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]
Grid = tuple[int, int]


def array(tensor: Tensor) -> Array:
    return tensor.double().numpy()


def softmax(scores: Array) -> Array:
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()


def layer_norm(x: Array, tensors: Mapping[str, Tensor], prefix: str) -> Array:
    weight, bias = array(tensors[f"{prefix}.weight"]), array(tensors[f"{prefix}.bias"])
    result = np.empty_like(x)
    for i, row in enumerate(x):
        centred = row - row.mean()
        result[i] = centred / math.sqrt((centred**2).mean() + 1e-5) * weight + bias
    return result


def mlp(x: Array, tensors: Mapping[str, Tensor], prefix: str) -> Array:
    expand, contract = f"{prefix}.expand", f"{prefix}.contract"
    hidden = x @ array(tensors[f"{expand}.weight"]).T + array(tensors[f"{expand}.bias"])
    hidden = hidden / (1 + np.exp(-1.702 * hidden))  # quick GELU
    return hidden @ array(tensors[f"{contract}.weight"]).T + array(tensors[f"{contract}.bias"])
