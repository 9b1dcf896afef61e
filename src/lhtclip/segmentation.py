"""The result: one class for every pixel of an image.

`lhtclip.output.forms` converts it for other programs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from PIL import Image

from lhtclip.errors import (
    InputError,
    check_choice,
    check_kind,
    check_text,
    is_number,
    shown,
    unknown,
    whole,
)
from lhtclip.files import write_atomically
from lhtclip.files.paths import as_path
from lhtclip.output.annotations.classes import unshifted
from lhtclip.output.forms import Forms
from lhtclip.output.notebook import plot, show, small
from lhtclip.output.overlay import draw_labels
from lhtclip.output.palette import class_colours
from lhtclip.output.png import decode_labels, encode_labels, encode_picture
from lhtclip.output.png_names import names_in, with_names


def label_dtype(classes: int) -> np.dtype[Any]:
    """Return the type of labels for this many classes; its largest value means "ignored"."""
    return np.dtype(np.uint8) if classes <= 255 else np.dtype(np.uint16)


def ignored_label(dtype: np.dtype[Any]) -> int:
    """The label of pixels that do not count: the largest value of the type, 255 or 65535."""
    return int(np.iinfo(dtype).max)


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation(Forms):
    """The class of every pixel of one image.

    Attributes:
        labels: Class indices (H, W), of type uint8 up to 255 classes and uint16 beyond; the
            largest value of the type (255, 65535) means "ignored".
        scores: Score of each pixel's class (H, W), float32.
        names: Name of each class, in the order of the indices.
        image: The RGB levels (H, W, 3) that were segmented, uint8, if kept.
        background: Index of the class "none of the others", if there is one.
        maps: More about the image, by name, as `EncodedImage.maps` returns it.

    Raises:
        InputError: The parts do not fit together.
    """

    labels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    scores: npt.NDArray[np.float32]
    names: tuple[str, ...]
    image: npt.NDArray[np.uint8] | None = None
    background: int | None = None
    maps: Mapping[str, npt.NDArray[np.float32]] = field(
        default_factory=dict[str, npt.NDArray[np.float32]]
    )

    def __post_init__(self) -> None:
        """Check that types, shapes and indices agree."""
        self._check_kinds()
        shape, dtype, count = self.labels.shape, self.labels.dtype, len(self.names)
        if count == 0 or len(set(self.names)) < count or count > 65535:
            raise InputError(f"A segmentation needs 1 to 65535 different names, got {self.names}.")
        if len(shape) != 2 or 0 in shape or dtype != label_dtype(count):
            raise InputError(
                f"Labels of {count} classes must be a non-empty (H, W) array of "
                f"{label_dtype(count)}, got {dtype} of shape {shape}."
            )
        if self.scores.shape != shape or self.scores.dtype != np.float32:
            raise InputError(
                f"Scores must be float32 of the labels' shape {shape}, got {self.scores.dtype} of "
                f"shape {self.scores.shape}."
            )
        highest = int(self.labels.max(where=self.labels != self._ignored, initial=0))
        if highest >= count:
            raise InputError(f"Label {highest} has no name: there are {count} names.")
        if self.image is not None and (
            self.image.shape != (*shape, 3) or self.image.dtype != np.uint8
        ):
            raise InputError(
                f"The image must be uint8 of shape {(*shape, 3)}, got {self.image.dtype} of shape "
                f"{self.image.shape}."
            )
        if self.background is not None and whole("background", self.background) >= count:
            raise InputError(
                f"The background must be an index below {count}, got {self.background}."
            )

    def _check_kinds(self) -> None:
        check_kind("labels", self.labels, np.ndarray)
        check_kind("scores", self.scores, np.ndarray)
        check_kind("names", self.names, tuple)
        for name in self.names:
            check_text("a name", name)
        check_kind("image", self.image, np.ndarray, type(None))
        check_kind("maps", self.maps, Mapping)

    @property
    def colours(self) -> npt.NDArray[np.uint8]:
        """The sRGB colour of each class (classes, 3); the background is dark grey."""
        return class_colours(len(self.names), background=self.background)

    def mask(self, name: str) -> npt.NDArray[np.bool_]:
        """The pixels (H, W) of one class.

        Raises:
            UnknownNameError: No class has this name.
        """
        if not isinstance(cast("object", name), str) or name not in self.names:
            raise unknown("class", name, self.names)
        return self.labels == self.names.index(name)

    def coverage(self) -> dict[str, float]:
        """Share of the pixels of each class, in [0, 1]; ignored pixels belong to none."""
        counts = np.bincount(self.labels.ravel(), minlength=len(self.names))
        return {
            name: int(count) / self.labels.size
            for name, count in zip(self.names, counts, strict=False)
        }

    def to_dict(self) -> dict[str, Any]:
        """Describe the result in JSON types: size, background, and every class in order."""
        height, width = self.labels.shape
        shares = self.coverage()
        classes = [
            {
                "index": index,
                "name": name,
                "share": shares[name],
                "colour": f"#{bytes(colour).hex()}",
            }
            for index, (name, colour) in enumerate(zip(self.names, self.colours, strict=True))
        ]
        return {
            "width": width,
            "height": height,
            "background": self.background,
            "classes": classes,
        }

    def save(self, path: str | Path) -> Path:
        """Write the labels as a PNG file whose pixel values are the class indices.

        With up to 255 classes the file has a palette of colours; with more it is 16-bit greyscale.
        It contains the names, for `load`.

        Returns:
            The path written.

        Raises:
            InputError: The suffix is not .png, or the folder cannot be written to.
        """
        path = as_path("path", path)
        if path.suffix.lower() != ".png":
            raise InputError(f"Labels are saved as .png, which is lossless; got {str(path)!r}.")
        png = encode_labels(self.labels, self.colours)
        return write_atomically(path, with_names(png, self.names, background=self.background))

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        names: Sequence[str] | None = None,
        background: int | None = None,
        first_index: int = 0,
        image: npt.NDArray[np.uint8] | None = None,
    ) -> Segmentation:
        """Read labels from a PNG file: one of ours, or any palette or greyscale file.

        Args:
            path: The file.
            names: The classes in the order of their indices; by default those inside the file.
            background: Index of the class "none of the others"; by default as in the file.
            first_index: Value of the first class, 0 or 1, where the file does not say; with 1 the
                value 0 means "ignored".
            image: The RGB levels (H, W, 3) that were segmented.

        Returns:
            A segmentation whose scores are all 1, because the file has none.

        Raises:
            InputError: The file cannot be read, or there are no names for its labels.
        """
        check_choice("first_index", first_index, (0, 1))
        check_kind("names", names, Sequence, type(None))
        path = as_path("path", path)
        labels, known = decode_labels(path), names_in(path)
        if names is None:
            if known is None:
                raise InputError(f"{path} holds no class names: give them as names=[...].")
            names, background = known.names, known.background if background is None else background
        labels = unshifted(labels, known.first_index if known else first_index)
        highest, dtype = ignored_label(labels.dtype), label_dtype(len(names))
        ignored = labels == highest
        beyond = int(labels.max(where=~ignored, initial=0))
        if beyond >= len(names):
            raise InputError(f"Label {beyond} of {path} has no name: there are {len(names)} names.")
        labels = np.where(ignored, ignored_label(dtype), labels).astype(dtype)
        scores = np.ones(labels.shape, dtype=np.float32)
        return cls(labels, scores, tuple(names), image, background)

    def overlay(
        self,
        *,
        opacity: float = 0.55,
        legend: bool = True,
        font: str | Path | None = None,
    ) -> Image.Image:
        """Draw the classes over the image, with outlines and the names of the classes present.

        Ignored pixels show the image as it is.

        Args:
            opacity: Weight of the colours over the image, in [0, 1].
            legend: Add the names below, by decreasing share; a narrow image is padded.
            font: Font file for the names. Without one, letters beyond ASCII lose their accents, and
                names in other scripts become "class 7".

        Raises:
            InputError: There is no image, the opacity is out of range, or the font is unreadable.
        """
        if self.image is None:
            raise InputError("There is no image to draw over; build the result with its image.")
        if not (is_number(opacity) and 0 <= opacity <= 1):
            raise InputError(f"The opacity must lie in [0, 1], got {shown(opacity)}.")
        check_kind("legend", legend, bool)
        return draw_labels(
            self.image,
            self.labels,
            self.names,
            self.colours,
            opacity=opacity,
            legend=legend,
            font=font,
        )

    def plot(
        self,
        ax: Any = None,
        *,
        opacity: float = 0.55,
        legend: bool = True,
        side_by_side: bool = False,
    ) -> Any:
        """Draw the classes over the image on Matplotlib axes, and return the axes.

        Args:
            ax: Axes to draw on; by default those of a new figure. With `side_by_side`, a pair.
            opacity: As for `overlay`.
            legend: List the classes present with their shares.
            side_by_side: Draw the image itself to the left.

        Raises:
            InputError: No image was kept.
            MissingDependencyError: Matplotlib is not installed.
        """
        picture = self.overlay(opacity=opacity, legend=False)
        check_kind("legend", legend, bool)
        check_kind("side_by_side", side_by_side, bool)
        image = self.image if side_by_side else None
        shares = self.coverage()
        return plot(picture, shares, self.colours, original=image, legend=legend, ax=ax)

    def show(self) -> None:
        """Open the overlay in the desktop's image viewer.

        Raises:
            OutputError: There is none, as on a server.
        """
        show(self._picture())

    def __repr__(self) -> str:
        """Show the size and the largest classes."""
        height, width = self.labels.shape
        shares = sorted(self.coverage().items(), key=lambda each: -each[1])
        found = [f"{name} {share:.1%}" for name, share in shares if share > 0]
        more = f", {len(found) - 5} more" if len(found) > 5 else ""
        return f"Segmentation({width} x {height} pixels: {', '.join(found[:5])}{more})"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """Show the overlay, at most 1024 pixels wide, at the end of a notebook cell."""
        return {"text/plain": repr(self), "image/png": encode_picture(small(self._picture()))}

    def _picture(self) -> Image.Image:
        """Return the overlay, on white without an image."""
        if self.image is not None:
            return self.overlay()
        paper = np.full((*self.labels.shape, 3), 255, dtype=np.uint8)
        return replace(self, image=paper).overlay(opacity=1.0)
