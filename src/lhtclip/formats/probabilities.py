"""`probabilities`: an .npz file an image, with the probability of every class, a value a patch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from lhtclip.formats.sink import ImageName, Sink
from lhtclip.output.scores import encode_scores
from lhtclip.segmentation import Segmentation


class Probabilities(Sink):
    """<name>.probabilities.npz."""

    maps = ("probabilities",)

    def files(self, image: ImageName) -> Sequence[PurePosixPath]:
        """Return one file."""
        return (image.result(".probabilities.npz"),)

    def encode(self, image: ImageName, result: Segmentation) -> Iterable[bytes]:
        """Encode them in half precision (classes, rows, columns).

        Raises:
            InputError: The result comes from a label file.
        """
        return (encode_scores(self.map_of(result, "probabilities")),)
