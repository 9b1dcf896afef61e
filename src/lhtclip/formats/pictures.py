"""The images next to the labels, in formats that are folders to train or to annotate from."""

from __future__ import annotations

from PIL import Image

from lhtclip.errors import InputError
from lhtclip.output.jpeg import LONGEST_SIDE, encode_photo
from lhtclip.segmentation import Segmentation


def picture_of(result: Segmentation) -> bytes:
    """Encode the image as it was labelled, upright and in RGB, as a JPEG file.

    The original would not do: programs disagree on whether to follow its EXIF orientation.

    Raises:
        InputError: There is no image, or it is longer or wider than a JPEG file can be.
    """
    if result.image is None:
        raise InputError(
            "This format stores images next to their labels, and there are none: give their "
            "folder (--images)."
        )
    height, width = result.labels.shape
    if max(height, width) > LONGEST_SIDE:
        raise InputError(
            f"This format needs JPEG files, whose sides have {LONGEST_SIDE} pixels at most, and "
            f"the image has {width} x {height}. Make it smaller, or use the format labels or coco."
        )
    return encode_photo(Image.fromarray(result.image))
