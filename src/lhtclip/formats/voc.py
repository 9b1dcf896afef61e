"""`voc`: a folder in Pascal VOC's layout, 0 for the background, 255 for ignored pixels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from lhtclip.formats.pictures import picture_of
from lhtclip.formats.sink import ImageName, Parts, Sink
from lhtclip.output.png import encode_labels
from lhtclip.segmentation import Segmentation

_FOLDER = PurePosixPath("voc")


class Voc(Sink):
    """JPEGImages, SegmentationClass and ImageSets/Segmentation/default.txt, below voc.

    voc/classes.txt names the values from 0, which is the background.
    """

    names_inside = True

    def files(self, image: ImageName) -> Sequence[PurePosixPath]:
        """Return two files."""
        return (
            _FOLDER / "JPEGImages" / image.result(".jpg"),
            _FOLDER / "SegmentationClass" / image.result(".png"),
        )

    def encode(self, image: ImageName, result: Segmentation) -> Iterable[bytes]:
        """Encode the picture and the labels.

        Raises:
            InputError: There are more classes than a byte can tell apart, or no picture.
        """
        labels = self.classes.with_background_first(result.labels, program="Pascal VOC")
        objects = self.classes.colours[list(self.classes.objects)]
        colours = np.concatenate([np.zeros((1, 3), dtype=np.uint8), objects])
        palette = self.options.mode == "palette"
        return (picture_of(result), encode_labels(labels, colours, palette=palette))

    def run_files(self) -> Sequence[PurePosixPath]:
        """Return two files."""
        return (_FOLDER / "ImageSets/Segmentation/default.txt", _FOLDER / "classes.txt")

    def assemble(self, parts: Parts) -> Iterable[bytes | Iterable[bytes]]:
        """List the images and the classes."""
        names = ["background", *(self.classes.names[index] for index in self.classes.objects)]
        return (listed(parts), "".join(name + "\n" for name in names).encode())

    def settings(self) -> dict[str, Any]:
        """Return the mode."""
        return {"mode": self.options.mode}


def listed(parts: Parts) -> Iterator[bytes]:
    """List images as VOC's image sets do: a line each, without the suffix."""
    return (f"{part.image.stem.as_posix()}\n".encode() for part in parts)
