"""The second look that some methods take at an image: their last block, steered by first labels."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from lhtclip.decoding.patch_labels import label_patches
from lhtclip.encoder import DenseEncoder


def encode_again(
    encoder: DenseEncoder, pixels: Tensor, embeddings: Tensor, texts: Tensor
) -> Tensor:
    """Encode windows a second time, or return the first embeddings if the method has one pass.

    Args:
        encoder: The encoder of the first pass.
        pixels: Normalised windows, (windows, 3, height, width).
        embeddings: Of the first pass, (windows, rows, columns, E), of unit length.
        texts: Of the queries, (queries, E), of unit length.

    Returns:
        (windows, rows, columns, E) float32, of unit length.
    """
    method, patch = encoder.method, encoder.model.config.vision.patch_size
    if method.second_pass is None:
        return embeddings
    label = partial(label_patches, embeddings, texts, pixels, patch=patch)
    return encoder.with_method(method.second_pass(label, method.settings))(pixels)
