"""Scores as compressed NumPy files (.npz) in half precision, under the name "scores".

Unlike 16-bit PNGs, these need no agreed scale, hold any range and any number of classes, and open
with one line of NumPy. Half precision keeps 3 decimals, which is enough for a score.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt

from lhtclip.errors import InputError

_LARGEST = float(np.finfo(np.float16).max)


def encode_scores(scores: npt.NDArray[np.floating[Any]]) -> bytes:
    """Encode scores of any shape, usually (H, W) or (classes, H, W), as an .npz file.

    Values are rounded to half precision: a relative error of at most 2^-11, or 6e-8 near zero. The
    same scores always give the same bytes.

    Raises:
        InputError: The scores are not floating-point numbers of magnitude up to 65504.
    """
    if not np.issubdtype(scores.dtype, np.floating):
        raise InputError(f"Scores must be floating-point numbers, got {scores.dtype}.")
    if not bool(np.all(np.abs(scores) <= _LARGEST)):
        raise InputError(f"Scores must be finite and at most {_LARGEST:g} to be saved.")
    file = io.BytesIO()
    np.savez_compressed(file, scores=scores.astype(np.float16))
    return file.getvalue()
