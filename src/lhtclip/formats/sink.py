"""An output format: results in, contents of files out.

A format touches no file. It names the files of an image and returns their contents; for a file
about the whole run, it says what to keep of each image and how to assemble it. The run writes the
files, whole or not at all, and skips what is already done.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from lhtclip.errors import InputError, check_choice, check_kind, check_text, is_whole
from lhtclip.output.annotations.classes import ClassList
from lhtclip.regions.instances import SHAPES, Instances, Shape
from lhtclip.regions.polygons import check_tolerance
from lhtclip.segmentation import Segmentation
from lhtclip.text.vocabulary import Vocabulary

_ALLOWED = {"mode": ("palette", "grey"), "first_index": (0, 1), "shape": SHAPES}


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """Choices about files that several formats share.

    Attributes:
        mode: Label maps of up to 255 classes as a "palette" image, which has colours, or "grey",
            which every program reads as plain integers.
        first_index: Value of the first class in label maps, 0 or 1; with 1 the value 0 stands for
            ignored pixels.
        shape: Regions as a "mask", which is exact, or as a "polygon", where a format has both.
        tolerance: Largest distance in pixels that a polygon may move to have fewer points.
        least_area: Regions of fewer pixels are merged into their neighbours, for formats of
            regions.
        image_url: For Label Studio, what stands before the path of an image.
        font: Font file for the legends of overlays; None for one with ASCII letters.
    """

    mode: Literal["palette", "grey"] = "palette"
    first_index: Literal[0, 1] = 0
    shape: Shape = "mask"
    tolerance: float = 0.0
    least_area: int = 0
    image_url: str = "/data/local-files/?d="
    font: str | None = None

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            InputError: One is.
        """
        for name, allowed in _ALLOWED.items():
            check_choice(name, getattr(self, name), allowed)
        check_tolerance(self.tolerance)
        check_text("image_url", self.image_url)
        check_kind("font", self.font, str, type(None))
        if not is_whole(self.least_area, least=0):
            raise InputError(f"The least area must be 0 or more pixels, got {self.least_area!r}.")


@dataclass(frozen=True, slots=True)
class ImageName:
    """The name of an image and of its results, relative to their folders.

    Attributes:
        path: The image, such as street/one.jpg.
        stem: Its results without suffix: street/one, or street/one.jpg if street/one.png is an
            image as well.
    """

    path: PurePosixPath
    stem: PurePosixPath

    def result(self, suffix: str) -> PurePosixPath:
        """Return the path of a result, such as street/one.overlay.jpg."""
        return self.stem.with_name(self.stem.name + suffix)


@dataclass(frozen=True, slots=True)
class Part:
    """What is kept of one image for a file about the whole run.

    Attributes:
        image: Its name.
        width: Pixels.
        height: Pixels.
        content: What `Sink.part` returned.
    """

    image: ImageName
    width: int
    height: int
    content: Any


class Parts(Protocol):
    """The parts of all images, in the order of their paths; can be iterated repeatedly."""

    def __iter__(self) -> Iterator[Part]:
        """Start with the first."""
        ...


class Sink:
    """An output format. Override the first two methods, the next three, or all five.

    Paths are relative to the folder of the results. All methods depend on their arguments only, and
    the same arguments give the same bytes.

    Attributes:
        maps: Maps of `EncodedImage.maps` that results must have for this format.
        names_inside: Whether files contain names of images, which then must be text.
    """

    maps: ClassVar[tuple[str, ...]] = ()
    names_inside: ClassVar[bool] = False

    def __init__(self, vocabulary: Vocabulary, options: OutputOptions) -> None:
        """Keep the classes of a run and the choices about its files."""
        self.vocabulary = vocabulary
        self.options = options
        self.classes = ClassList(vocabulary.names, vocabulary.background)

    def files(self, image: ImageName) -> Sequence[PurePosixPath]:
        """Return the files of an image."""
        return ()

    def encode(self, image: ImageName, result: Segmentation) -> Iterable[bytes]:
        """Return the contents of these files, in the same order.

        Raises:
            InputError: The format cannot hold this result.
        """
        return ()

    def run_files(self) -> Sequence[PurePosixPath]:
        """Return the files about the whole run."""
        return ()

    def part(self, image: ImageName, result: Segmentation) -> Any:
        """Return what the files about the run need from an image, in JSON types."""
        return None

    def assemble(self, parts: Parts) -> Iterable[bytes | Iterable[bytes]]:
        """Return the contents of the files about the run, in the order of `run_files`.

        Large ones may come in pieces.
        """
        return ()

    def settings(self) -> dict[str, Any]:
        """Return the options that change this format's files and must not be mixed."""
        return {}

    def map_of(self, result: Segmentation, name: str) -> NDArray[np.float32]:
        """Return one of `maps`.

        Raises:
            InputError: The result does not have it, because it comes from a label file.
        """
        if name not in result.maps:
            raise InputError(
                f"Label files do not hold what {name} is made of, the probabilities of all "
                f"classes: use `lhtclip segment --format {name}`."
            )
        return result.maps[name]

    def regions(self, result: Segmentation) -> Instances:
        """Return the regions of all classes but the background."""
        return result.components(least_area=self.options.least_area)

    def region_settings(self) -> dict[str, Any]:
        """Return the options that change files of regions."""
        options = self.options
        return {
            "shape": options.shape,
            "tolerance": options.tolerance,
            "least_area": options.least_area,
        }
