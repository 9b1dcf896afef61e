"""Show results in notebooks: as an image small enough to store, and on Matplotlib axes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageShow

from lhtclip.errors import InputError, OutputError, shown
from lhtclip.extras import import_extra

LONGEST_SIDE = 1024  # longer side of the image stored in a notebook, pixels


def small(picture: Image.Image) -> Image.Image:
    """Return the image, reduced to at most 1024 pixels on its longer side."""
    if max(picture.size) > LONGEST_SIDE:
        picture = picture.copy()
        picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    return picture


def plot(
    picture: Image.Image,
    shares: Mapping[str, float],
    colours: NDArray[np.uint8],
    *,
    original: NDArray[np.uint8] | None = None,
    legend: bool = True,
    ax: Any = None,
) -> Any:
    """Draw an image on Matplotlib axes, with a legend of classes and their shares.

    Args:
        picture: The image with the classes drawn over it.
        shares: Share of each class, by name, in the order of the colours.
        colours: sRGB colours (classes, 3).
        original: The image itself (height, width, 3), drawn to the left on its own axes.
        legend: Whether to list the classes present, largest share first.
        ax: Axes to draw on; by default those of a new figure. With `original`, a pair of axes.

    Returns:
        The axes of `picture`.

    Raises:
        InputError: `ax` is something else.
        MissingDependencyError: Matplotlib is not installed.
    """
    pyplot = import_extra("matplotlib.pyplot", purpose="Plots")
    patches = import_extra("matplotlib.patches", purpose="Plots")
    if ax is None:
        _, ax = pyplot.subplots(1, 1 if original is None else 2, layout="constrained")
    if not _can_draw(ax, 1 if original is None else 2):
        raise InputError(
            f"ax must be Matplotlib axes, or a pair of them for two pictures, not {shown(ax)}."
        )
    if original is not None:
        left, ax = ax
        left.imshow(original)
        left.set_axis_off()
    ax.imshow(picture)
    ax.set_axis_off()
    if legend:
        entries = sorted(zip(shares.items(), colours / 255, strict=True), key=lambda e: -e[0][1])
        handles = [
            patches.Patch(color=tuple(colour), label=f"{name}  {share:.1%}")
            for (name, share), colour in entries
            if share > 0
        ]
        drawn = ax.legend(
            handles=handles, loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False
        )
        for text in drawn.get_texts():  # dollars in names are no formulas
            text.set_parse_math(False)
    return ax


def _can_draw(ax: Any, count: int) -> bool:
    axes = [ax] if count == 1 else ax
    try:
        return len(axes) == count and all(hasattr(each, "imshow") for each in axes)
    except TypeError:
        return False


def show(picture: Image.Image) -> None:
    """Open a picture in the desktop's image viewer.

    Raises:
        OutputError: There is none, as on a server.
    """
    if not ImageShow.show(picture):
        raise OutputError(
            "There is no image viewer here. Save the picture instead: "
            'result.overlay().save("overlay.png").'
        )
