"""Long-CLIP's two tables of text positions become one (arXiv 2403.15378).

It stretches CLIP's 77 positions to 248 and keeps the first 20 as they are. Its checkpoints hold
both tables whole: of the first, only those 20 rows count, of the second only the rest.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

_KEPT = 20
_FIRST, _REST = "positional_embedding", "positional_embedding_res"
_MASKS = ("mask1", "mask2")


def one_position_table(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Return the tensors of a CLIP; those of any other checkpoint stay as they are."""
    if _REST not in tensors or _FIRST not in tensors:
        return tensors
    whole = {name: each for name, each in tensors.items() if name not in (_REST, *_MASKS)}
    whole[_FIRST] = torch.cat([tensors[_FIRST][:_KEPT], tensors[_REST][_KEPT:]])
    return whole
