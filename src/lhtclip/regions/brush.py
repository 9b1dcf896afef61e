"""Label Studio's brush masks: runs of bytes packed bit by bit, the "rle-pack" of thi.ng/umbrella.

A header gives the number of bytes (32 bits), the bits per byte minus one (5), and four run-length
sizes minus one (4 each). Each run consists of a set bit, the index of its length's size (2 bits),
its length minus one, and the byte (8). The bytes are those of an RGBA image, row by row: 255 inside
the mask in all four channels, otherwise 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lhtclip.regions.components import classes_of
from lhtclip.regions.run_lengths import counts_of_components
from lhtclip.regions.runs import Integers, Labels

_SIZES = np.array([3, 4, 8, 16])  # bits of a run's length
_LONGEST = 1 << 16
_HEADER = (32, 5, 4, 4, 4, 4)  # bits of its numbers


def brushes_of_labels(labels: Labels) -> dict[int, NDArray[np.uint8]]:
    """Encode the mask of every label of a map (height, width), as what Label Studio calls "rle"."""
    classes = classes_of(labels.T)
    counts = counts_of_components(classes)
    return {
        label: _brush(own, labels.size)
        for label, own in zip(classes.label.tolist(), counts, strict=True)
    }


def _brush(counts: Integers, pixels: int) -> NDArray[np.uint8]:
    """Encode run lengths in pixels along rows, the first outside of the mask."""
    counts = 4 * counts  # bytes
    value = np.where(np.arange(len(counts)) % 2 == 1, 255, 0)
    counts, value = counts[counts > 0], value[counts > 0]
    parts = -(-counts // _LONGEST)
    length = np.full(int(parts.sum()), _LONGEST)
    length[np.cumsum(parts) - 1] = counts - (parts - 1) * _LONGEST
    value = np.repeat(value, parts)
    kind = np.searchsorted(1 << _SIZES, length)
    size = _SIZES[kind]
    code = (((4 | kind) << size | (length - 1)) << 8) | value
    return _pack(np.array([4 * pixels, 7, *(_SIZES - 1)]), code, 3 + size + 8)


def _pack(header: Integers, codes: Integers, widths: Integers) -> NDArray[np.uint8]:
    """Pack the header, and numbers of 14 to 27 bits with the given widths, high bits first.

    The code is put where it belongs among the five bytes that it can touch. The next code begins
    at least a byte later, so each of the five goes to other places for every code.
    """
    head = "".join(f"{value:0{width}b}" for value, width in zip(header, _HEADER, strict=True))
    ends = len(head) + np.cumsum(widths)
    packed = np.zeros(int(ends[-1]) // 8 + 6, dtype=np.uint8)
    first = np.packbits(np.array([*head], dtype=np.uint8))
    packed[: len(first)] = first
    place, offset = np.divmod(ends - widths, 8)
    placed = codes << (40 - offset - widths)
    for byte in range(5):
        packed[place + byte] |= (placed >> (32 - 8 * byte) & 255).astype(np.uint8)
    return packed[: -(-int(ends[-1]) // 8)]
