"""`margin`, `entropy`: a grey PNG an image, 0 to 255 for 0 to 1, to find what to look at first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from lhtclip.formats.sink import ImageName, Sink
from lhtclip.output.png import encode_picture
from lhtclip.segmentation import Segmentation


class _Map(Sink):
    def files(self, image: ImageName) -> Sequence[PurePosixPath]:
        """Return one file."""
        return (image.result(f".{self.maps[0]}.png"),)

    def encode(self, image: ImageName, result: Segmentation) -> Iterable[bytes]:
        """Encode the map.

        Raises:
            InputError: The result comes from a label file.
        """
        levels = np.rint(255 * self.map_of(result, self.maps[0])).astype(np.uint8)
        return (encode_picture(Image.fromarray(levels)),)


class Margin(_Map):
    """<name>.margin.png: how much more probable the best class is than the second."""

    maps = ("margin",)


class Entropy(_Map):
    """<name>.entropy.png: 0 where one class is certain, 255 where all are equally probable."""

    maps = ("entropy",)
