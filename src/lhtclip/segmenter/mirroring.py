"""Test-time mirroring: every window is encoded as it is and mirrored, and both are averaged."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from lhtclip.encoder import PatchEncoder


@dataclass(frozen=True, slots=True)
class MirroredEncoder:
    """Runs an encoder on windows and on their mirror images.

    Attributes:
        encoder: The encoder.
        patch: Side of a patch in pixels.
    """

    encoder: PatchEncoder
    patch: int

    @property
    def engine(self) -> str:
        """The engine of the encoder."""
        return self.encoder.engine

    def __call__(self, pixels: Tensor) -> Tensor:
        """Encode a batch, as `DenseEncoder.__call__` does.

        Returns:
            (batch, rows, columns, E) float32, the means of two vectors of unit length: their
            cosines with texts are the means of both cosines.
        """
        whole = whole_patches(pixels, self.patch)
        return (self.encoder(whole) + mirrored(self.encoder(mirrored(whole, -1)), -2)) / 2


def whole_patches(pixels: Tensor, patch: int) -> Tensor:
    """Drop the columns behind the last whole patch, which mirroring would move to the front."""
    return pixels[..., : pixels.shape[-1] // patch * patch]


def mirrored(values: Tensor, columns: int) -> Tensor:
    """Mirror values left to right; `columns` is the dimension of the columns."""
    return values.flip(columns)
