"""torch.compile: fuses the encoder's many small steps, after a minute or so of compiling."""

from __future__ import annotations

import torch
from torch import Tensor

from lhtclip.encoder import DenseEncoder
from lhtclip.errors import InputError

_MOST_SHAPES = 4  # of windows that are compiled for; later ones run without the compiler


class CompiledEncoder:
    """Compiles once for each shape of window, whatever the number of windows."""

    engine = "compile"

    def __init__(self, encoder: DenseEncoder) -> None:
        """Get ready; compiling happens with the first batch of each shape.

        Raises:
            InputError: The method has a second pass, which differs from image to image.
        """
        if encoder.method.second_pass is not None:
            raise InputError(
                f"The method {encoder.method.name!r} has a second pass and cannot be compiled: use "
                "the engine 'torch'."
            )
        self._encoder = encoder
        self._compiled = torch.compile(encoder.__call__, dynamic=False)
        self._shapes: set[torch.Size] = set()

    def __call__(self, pixels: Tensor) -> Tensor:
        """Encode a batch, as `DenseEncoder` does."""
        shape = pixels.shape[1:]
        if shape not in self._shapes and len(self._shapes) == _MOST_SHAPES:
            return self._encoder(pixels)
        self._shapes.add(shape)
        if len(pixels) == 1:  # which the compiler would take for a case of its own
            return self._compiled(pixels.expand(2, *shape).contiguous())[:1]
        pixels = pixels.clone()  # the mark stays on a tensor
        torch._dynamo.maybe_mark_dynamic(pixels, 0)  # pyright: ignore[reportPrivateUsage]
        return self._compiled(pixels)
