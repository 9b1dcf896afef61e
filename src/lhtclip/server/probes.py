"""The best classes at one pixel: its logits are a weighted mean of a few patches."""

from __future__ import annotations

import torch

from lhtclip.decoding.interpolation import plan_axis
from lhtclip.encoded_image import EncodedImage
from lhtclip.errors import InputError
from lhtclip.segmenter import Segmenter
from lhtclip.server.schemas import ProbeRequest
from lhtclip.text.vocabulary import Vocabulary


@torch.inference_mode()
def probe(
    segmenter: Segmenter, encoded: EncodedImage, vocabulary: Vocabulary, asked: ProbeRequest
) -> list[tuple[str, float]]:
    """Return the best classes at a pixel with their probabilities, best first.

    Raises:
        InputError: The pixel lies outside of the image.
    """
    height, width = encoded.image.shape[:2]
    if asked.x >= width or asked.y >= height:
        raise InputError(
            f"The pixel ({asked.x}, {asked.y}) lies outside of the image of {width} x {height}."
        )
    plan, grid = encoded.plan, encoded.embeddings.shape[2:4]
    rows = plan_axis(plan.tops, plan.window_height, plan.height, grid[0], height)
    columns = plan_axis(plan.lefts, plan.window_width, plan.width, grid[1], width)
    patches = encoded.embeddings.permute(0, 2, 1, 3, 4).flatten(2, 3).flatten(0, 1)
    down, across = rows.band(slice(asked.y, asked.y + 1)), columns.band(slice(asked.x, asked.x + 1))
    near = patches[rows.order[down]][:, columns.order[across]]
    texts = segmenter.texts.encode(vocabulary.queries)
    weights = rows.matrix[asked.y, down].to(near), columns.matrix[asked.x, across].to(near)
    logits = torch.einsum("rcq,r,c->q", near @ texts.T, *weights)
    chances = (logits * segmenter.decoding.logit_scale).softmax(dim=0).tolist()
    best: dict[int, float] = {}
    for index, chance in zip(vocabulary.class_of_query, chances, strict=True):
        best[index] = max(best.get(index, 0.0), chance)
    ranked = sorted(best.items(), key=lambda each: -each[1])[: asked.k]
    return [(vocabulary.names[index], chance) for index, chance in ranked]
