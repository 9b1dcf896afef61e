"""Scores as compressed NumPy files (.npz) in half precision, under the name "scores".

Unlike 16-bit PNGs, these need no agreed scale, hold any range and any number of classes, and open
with one line of NumPy. Half precision keeps 3 decimals, which is enough for a score.
"""

from __future__ import annotations

import io
from pathlib import Path
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


def decode_scores(source: str | Path | bytes) -> npt.NDArray[np.float32]:
    """Read scores from an .npz file, given as a path or as its bytes.

    Raises:
        InputError: The file is missing, broken or has no array "scores".
    """
    name = "The scores" if isinstance(source, bytes) else str(source)
    try:
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return np.asarray(arrays["scores"], dtype=np.float32)
    except OSError as error:
        raise InputError(f"Cannot read {name}: {error.strerror or error}.") from error
    except Exception as error:  # damaged files raise errors of any type
        raise InputError(f'{name} is not an .npz file with an array "scores".') from error
