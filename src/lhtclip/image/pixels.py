"""Read an image from any source as an upright RGB array, and turn that into CLIP's pixels.

Levels keep their meaning: the scale comes from the format (255, 65535 or 1), never from the
brightest pixel. Transparent images are composited onto white, as in a browser: the colours stored
under transparent pixels are arbitrary and would otherwise reach the model.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol, TypeAlias, cast, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image

from lhtclip.errors import InputError
from lhtclip.image.colours import to_rgb
from lhtclip.image.decoded import read_file
from lhtclip.image.opening import MAX_PIXELS, too_large
from lhtclip.image.picture import picture_to_rgb
from lhtclip.image.resize import resize_levels
from lhtclip.image.settings import PLAIN, ReadingSettings


@runtime_checkable
class Readable(Protocol):
    """A file opened for reading bytes."""

    def read(self) -> bytes:
        """Return the remaining bytes."""
        ...


ImageSource: TypeAlias = (
    str | os.PathLike[str] | bytes | Readable | Image.Image | npt.NDArray[Any] | torch.Tensor
)

_WHOLE_PIXELS = 1 << 25  # larger images are not converted to floating point as a whole
_NAME = "The image"  # name of a source that has none


def read_image(
    source: ImageSource, *, max_pixels: int = MAX_PIXELS, settings: ReadingSettings = PLAIN
) -> npt.NDArray[np.uint8]:
    """Read one image as a new, contiguous array of upright RGB levels (H, W, 3).

    Args:
        source: One of
            a path, the bytes of an image file, or an open file; animations and stacks give their
            first frame, with a warning;
            a PIL image of any mode, at its current frame (mode F only with values in [0, 1],
            mode I only with 16-bit values, as 16-bit files give);
            an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), greyscale, RGB or RGBA;
            a tensor (1, H, W) or (3, H, W) on any device.
            Arrays and tensors hold uint8 levels or floating-point values in [0, 1].
            EXIF orientation is applied, alpha is composited onto white, and 16-bit values are
            divided by 257.
        max_pixels: Largest height x width that is decoded.
        settings: Range, bands and treatment of alpha. With these, values of any type, and arrays
            and TIFFs with any number of bands, can be read.

    Raises:
        InputError: The source is missing, broken or too large, or has another shape, type or range.
    """
    if isinstance(source, torch.Tensor):
        return _from_tensor(source, max_pixels, settings)
    if isinstance(source, np.ndarray):
        return _from_array(source, max_pixels, settings)
    if isinstance(source, Image.Image):
        _check_size(*source.size, max_pixels)
        try:
            source.load()
        except Exception as error:
            raise InputError(f"Cannot decode the given PIL image: {error}.") from error
        return picture_to_rgb(source, settings, name=_NAME)
    if isinstance(source, Readable):
        return read_file(_content(source), max_pixels=max_pixels, settings=settings)
    given = cast("object", source)
    if isinstance(given, bytearray | memoryview):
        given = bytes(given)
    if isinstance(given, (str, os.PathLike, bytes)):
        return read_file(given, max_pixels=max_pixels, settings=settings)
    raise InputError(
        "An image must be a path, an open file, the bytes of an image file, a PIL image, a NumPy "
        f"array or a torch tensor, got {type(given).__name__}."
    )


def resized_shape(
    height: int, width: int, *, short_side: int, long_side: int = 2048
) -> tuple[int, int]:
    """Return the size whose shorter side is `short_side`, and whose longer is at most `long_side`.

    Sides round half up and are at least 1 pixel, as in the published evaluations (mmcv's rule).

    Raises:
        InputError: A side below 1.
    """
    if min(height, width, short_side, long_side) < 1:
        raise InputError(
            f"Image sides must be at least 1 pixel, got an image of {height} x {width}, "
            f"short_side={short_side}, long_side={long_side}."
        )
    factor = min(long_side / max(height, width), short_side / min(height, width))
    return max(1, int(height * factor + 0.5)), max(1, int(width * factor + 0.5))


def to_pixels(
    image: npt.NDArray[np.uint8],
    size: tuple[int, int],
    *,
    mean: Sequence[float],
    std: Sequence[float],
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    resize: str = "bilinear",
) -> torch.Tensor:
    """Resize RGB levels (H, W, 3) to `size` (h, w) and normalise them to pixels (3, h, w).

    The resized image is rounded to whole levels. "bilinear" is within one level of OpenCV's
    INTER_LINEAR, which published evaluations used; "opencv" equals it bit for bit.

    Args:
        image: As from `read_image`.
        size: Target height and width; an image of that size is not resampled.
        device: Device of the computation and of the result.
        dtype: Type of the result; the arithmetic is float32.
        mean: Subtracted from each channel, in units of the full range [0, 1].
        std: Divisor of each channel, in the same units.
        resize: "bilinear", or "opencv".
    """
    if resize == "bilinear" and image.shape[0] * image.shape[1] > _WHOLE_PIXELS:
        levels = _nearest_four(image, size).to(torch.device(device)).round()
    else:
        levels = _on_device(image, torch.device(device)).permute(2, 0, 1)
        if resize == "opencv":
            levels = resize_levels(levels, size)
        levels = levels.to(torch.float32)
    if tuple(levels.shape[1:]) != size:
        levels = F.interpolate(levels[None], size, mode="bilinear")[0].round()
    centre, spread = (_channels(tuple(each), torch.device(device)) for each in (mean, std))
    return ((levels / 255 - centre) / spread).to(dtype)


def _nearest_four(image: npt.NDArray[np.uint8], size: tuple[int, int]) -> torch.Tensor:
    """Resize bilinearly to (3, h, w), converting only the pixels that contribute.

    A very large image as a whole would take 12 bytes per pixel in floating point.
    """
    levels = torch.from_numpy(image)
    (tops, bottoms, down), (lefts, rights, across) = map(_neighbours, image.shape[:2], size)
    corners = (
        levels[rows][:, columns].permute(2, 0, 1).float()
        for rows in (tops, bottoms)
        for columns in (lefts, rights)
    )
    above_left, above_right, below_left, below_right = corners
    above = torch.lerp(above_left, above_right, across)
    below = torch.lerp(below_left, below_right, across)
    return torch.lerp(above, below, down[:, None])


def _neighbours(source: int, target: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the pixels before and after each position on an axis, and the second one's weight."""
    places = (torch.arange(target, dtype=torch.float32) + 0.5) * (source / target) - 0.5
    places = places.clamp(0, source - 1)
    low = places.long()
    return low, (low + 1).clamp_max(source - 1), places - low


def _on_device(image: npt.NDArray[np.uint8], device: torch.device) -> torch.Tensor:
    """Copy levels to a device; on CUDA, asynchronously."""
    levels = torch.tensor(image)
    if device.type == "cuda":
        return levels.pin_memory().to(device, non_blocking=True)
    return levels.to(device)


@lru_cache(maxsize=16)
def _channels(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    return torch.tensor(values, device=device).view(3, 1, 1)


def _content(file: Readable) -> bytes:
    try:
        content = cast("object", file.read())
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot read the open file: {error}.") from error
    if not isinstance(content, bytes):
        raise InputError("The open file yields text; open images in binary mode, 'rb'.")
    return content


def _from_tensor(
    tensor: torch.Tensor, max_pixels: int, settings: ReadingSettings
) -> npt.NDArray[np.uint8]:
    shape = tuple(tensor.shape)
    if tensor.ndim != 3 or (shape[0] not in (1, 3) and settings.bands is None):
        last = tensor.ndim == 3 and shape[2] in (1, 3)
        hint = "; image.permute(2, 0, 1) brings channels first" if last else ""
        raise InputError(
            f"One image as a tensor has shape (3, H, W) or (1, H, W), not {shape}{hint}."
        )
    _check_size(shape[2], shape[1], max_pixels)
    if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized:
        raise InputError("An image as a tensor must be dense and hold values; call .to_dense().")
    if tensor.is_floating_point():
        tensor = tensor.float()  # NumPy has no bfloat16
    return _from_array(tensor.detach().permute(1, 2, 0).cpu().numpy(), max_pixels, settings)


def _from_array(
    array: npt.NDArray[Any], max_pixels: int, settings: ReadingSettings
) -> npt.NDArray[np.uint8]:
    if np.ma.is_masked(array):
        raise InputError(
            "The image is a masked array; say what the masked pixels show, such as "
            "image.filled(255) for white."
        )
    shape = array.shape
    channels = {2: 1, 3: shape[-1] if shape else 0}.get(array.ndim, 0)
    if channels not in (1, 3, 4) and (settings.bands is None or not channels):
        first = array.ndim == 3 and shape[0] in (1, 3, 4) and shape[2] > 4
        hint = "; image.transpose(1, 2, 0) brings channels last" if first else ""
        raise InputError(
            f"One image as an array has shape (H, W), (H, W, 3) or (H, W, 4), not {shape}{hint}."
        )
    _check_size(shape[1], shape[0], max_pixels)
    return to_rgb(
        array.reshape(*shape[:2], channels),
        settings,
        name=_NAME,
        full=_full_range(array, settings),
        alpha=channels == 4,
    )


def _full_range(values: npt.NDArray[Any], settings: ReadingSettings) -> float | None:
    """Return the value of white; other ranges must be named in the settings."""
    if values.dtype == np.uint8:
        return 255.0
    if settings.range is not None and values.dtype.kind in "iuf":
        return None
    if values.dtype.kind not in "iuf":
        raise InputError(
            f"Images must be uint8 levels or floating-point values in [0, 1], got {values.dtype}; "
            "convert them first, such as image.astype(np.uint8) * 255 of True and False."
        )
    if values.dtype.kind != "f":
        raise InputError(
            f"Images must be uint8 levels or floating-point values in [0, 1], got {values.dtype}; "
            "for others set the range, such as ReadingSettings(range=(0, 3000))."
        )
    lowest, highest = float(values.min()), float(values.max())
    if not (lowest >= 0 and highest <= 1):  # also refuses nan
        raise InputError(
            f"Floating-point images must lie in [0, 1], got values from {lowest:g} to {highest:g}; "
            "divide them by their full range, give uint8 levels, or name their range, "
            "ReadingSettings(range=(0, 3000))."
        )
    return 1.0


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height == 0:
        raise InputError(f"The image is empty: {height} rows of {width} pixels.")
    if width * height > max_pixels:
        raise too_large(f"The image of {height} x {width}", max_pixels)
