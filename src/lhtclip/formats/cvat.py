"""`cvat`: the folder of CVAT's import format "Segmentation mask 1.1", to be zipped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from lhtclip.formats.sink import ImageName, OutputOptions, Parts, Sink
from lhtclip.formats.voc import listed
from lhtclip.output.annotations.cvat import colour_mask, labelmap
from lhtclip.segmentation import Segmentation
from lhtclip.text.vocabulary import Vocabulary

_FOLDER = PurePosixPath("cvat")


class Cvat(Sink):
    """SegmentationClass, ImageSets/Segmentation/default.txt and labelmap.txt, below cvat."""

    names_inside = True

    def __init__(self, vocabulary: Vocabulary, options: OutputOptions) -> None:
        """Refuse classes that `labelmap.txt` cannot list.

        Raises:
            InputError: There are too many, or a name has a colon in it.
        """
        super().__init__(vocabulary, options)
        self._labelmap = labelmap(self.classes)

    def files(self, image: ImageName) -> Sequence[PurePosixPath]:
        """Return one file."""
        return (_FOLDER / "SegmentationClass" / image.result(".png"),)

    def encode(self, image: ImageName, result: Segmentation) -> Iterable[bytes]:
        """Encode the colours."""
        return (colour_mask(result.labels, self.classes),)

    def run_files(self) -> Sequence[PurePosixPath]:
        """Return two files."""
        return (_FOLDER / "ImageSets/Segmentation/default.txt", _FOLDER / "labelmap.txt")

    def assemble(self, parts: Parts) -> Iterable[bytes | Iterable[bytes]]:
        """List the images and the classes."""
        return (listed(parts), self._labelmap.encode())
