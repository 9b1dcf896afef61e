"""`labelme`: a folder for LabelMe with the images, and a JSON file next to each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any

from lhtclip.formats.pictures import picture_of
from lhtclip.formats.sink import ImageName, Sink
from lhtclip.output.annotations.labelme import document
from lhtclip.segmentation import Segmentation

_FOLDER = PurePosixPath("labelme")


class LabelMe(Sink):
    """labelme/<name>.json and labelme/<name>.jpg."""

    names_inside = True

    def files(self, image: ImageName) -> Sequence[PurePosixPath]:
        """Return two files."""
        return (_FOLDER / image.result(".json"), _FOLDER / image.result(".jpg"))

    def encode(self, image: ImageName, result: Segmentation) -> Iterable[bytes]:
        """Encode the regions and the picture."""
        content = document(
            self.regions(result),
            self.classes,
            image_path=image.result(".jpg").name,
            shape=self.options.shape,
            tolerance=self.options.tolerance,
        )
        return (content.encode(), picture_of(result))

    def settings(self) -> dict[str, Any]:
        """Return the options of regions."""
        return self.region_settings()
