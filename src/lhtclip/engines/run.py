"""What an opened graph is: a function on arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

# Pixels (batch, 3, height, width) and texts (queries, E) -> (batch, rows, columns, queries),
# all of them float32.
Run: TypeAlias = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]
