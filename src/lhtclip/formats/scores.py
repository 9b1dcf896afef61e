"""`scores`: an .npz file per image, with the score of each pixel's class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from lhtclip.formats.sink import ImageName, Sink
from lhtclip.output.scores import encode_scores
from lhtclip.segmentation import Segmentation


class Scores(Sink):
    """<name>.scores.npz."""

    def files(self, image: ImageName) -> Sequence[PurePosixPath]:
        """Return one file."""
        return (image.result(".scores.npz"),)

    def encode(self, image: ImageName, result: Segmentation) -> Iterable[bytes]:
        """Encode the scores in half precision."""
        return (encode_scores(result.scores),)
