"""The usual way: the published evaluation pipeline, as docs/reference/protocols.md has it.

One window at a time, logits of every prompt at full size, a softmax over all prompts, synonyms
merged by a product with a one-hot table, prompts padded to the whole context. It serves as the
baseline, so it works like the publications' code, as fast as that form allows. It computes SCLIP:
correlative attention in the last block, with residual connection and MLP.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from lhtclip.clip.layers import Attention
from lhtclip.clip.model import Clip
from lhtclip.clip.positions import positions_for_grid
from lhtclip.clip.text import TextTower
from lhtclip.decoding.settings import DecodeSettings
from lhtclip.image.windows import WindowSettings
from lhtclip.text.templates import fill

MEAN, SPREAD = (122.771, 116.746, 104.094), (68.501, 66.632, 70.323)  # red, green, blue

Box = tuple[int, int, int, int]  # top, bottom, left, right


class UsualTower:
    """CLIP's image tower with SCLIP's last block; tokens come first, then the batch."""

    def __init__(self, model: Clip) -> None:
        """Copy a model's weights; norms stay in float32, as in CLIP's own code."""
        vision = model.vision
        self.vision, self.dtype = vision, vision.positions.dtype
        side, width = vision.config.patch_size, vision.config.hidden_size
        self.kernel = vision.patch_embedding.weight.view(width, 3, side, side)
        self._norms = {
            each: (each.weight.float(), each.bias.float())
            for each in vision.modules()
            if isinstance(each, torch.nn.LayerNorm)
        }

    def __call__(self, pixels: Tensor) -> Tensor:
        """Encode one window (1, 3, height, width) to patches (1, rows * columns, E)."""
        vision, side = self.vision, self.vision.config.patch_size
        grid = (pixels.shape[-2] // side, pixels.shape[-1] // side)
        patches = F.conv2d(pixels.to(self.dtype), self.kernel, stride=side)
        x = patches.flatten(2).transpose(1, 2)  # (1, patches, width)
        x = torch.cat([vision.class_embedding.expand(1, 1, -1), x], dim=1)
        x = x + positions_for_grid(vision.positions, grid)
        x = self._norm(vision.pre_norm, x).transpose(0, 1)  # (tokens, 1, width)
        for block in vision.blocks[:-1]:
            x = x + _whole_attention(block.attention, self._norm(block.norm1, x))
            x = x + block.mlp(self._norm(block.norm2, x))
        last = vision.blocks[-1]
        x = x + _correlative_attention(last.attention, self._norm(last.norm1, x))
        x = x + last.mlp(self._norm(last.norm2, x))
        x = self._norm(vision.final_norm, x.transpose(0, 1))
        return vision.projection(x)[:, 1:]

    def _norm(self, norm: torch.nn.LayerNorm, x: Tensor) -> Tensor:
        weight, bias = self._norms[norm]
        return F.layer_norm(x.float(), norm.normalized_shape, weight, bias, norm.eps).to(x.dtype)


def _whole_attention(attention: Attention, x: Tensor) -> Tensor:
    """Compute `torch.nn.MultiheadAttention` without returning the weights."""
    return F.multi_head_attention_forward(
        x,
        x,
        x,
        x.shape[-1],
        attention.heads,
        attention.in_projection.weight,
        attention.in_projection.bias,
        None,
        None,
        False,
        0.0,
        attention.out_projection.weight,
        attention.out_projection.bias,
        training=False,
        need_weights=False,
    )[0]


def _correlative_attention(attention: Attention, x: Tensor) -> Tensor:
    """Compute SCLIP's attention with all weights of all heads in memory."""
    tokens, batch, width = x.shape
    heads, head_width = attention.heads, attention.head_width
    queries, keys, values = (
        part.reshape(tokens, batch * heads, head_width).transpose(0, 1)
        for part in attention.in_projection(x).chunk(3, dim=-1)
    )
    weights = torch.softmax(attention.scale * torch.bmm(queries, queries.transpose(1, 2)), dim=-1)
    weights = weights + torch.softmax(
        attention.scale * torch.bmm(keys, keys.transpose(1, 2)), dim=-1
    )
    mixed = torch.bmm(weights, values)
    return attention.out_projection(mixed.transpose(0, 1).reshape(tokens, batch, width))


class UsualWay:
    """Labels image files, with texts embedded in advance."""

    def __init__(
        self,
        model: Clip,
        texts: Tensor,
        class_of_query: Sequence[int],
        *,
        windows: WindowSettings,
        decoding: DecodeSettings,
    ) -> None:
        """Store a model; everything except the sums over windows is computed in its dtype.

        Args:
            model: The model.
            texts: (queries, E), of unit length.
            class_of_query: The class of each query.
            windows: How images are resized and cut; `batch` is ignored.
            decoding: How logits become labels; without PAMR.
        """
        self.tower = UsualTower(model)
        self.texts = texts.to(self.tower.dtype)
        self.class_of_query = torch.tensor(class_of_query, device=texts.device)
        self.windows, self.decoding = windows, decoding

    @torch.inference_mode()
    def label_file(self, path: Path) -> NDArray[np.int64]:
        """Read an image and label it, (height, width)."""
        picture = cv2.imread(str(path))  # blue, green, red
        if picture is None:
            raise FileNotFoundError(path)
        height, width = picture.shape[:2]
        longest, shortest = self.windows.long_side, self.windows.short_sides[0]
        factor = min(longest / max(height, width), shortest / min(height, width))
        new_size = int(width * factor + 0.5), int(height * factor + 0.5)
        small = cv2.resize(picture, new_size, interpolation=cv2.INTER_LINEAR)
        pixels = normalised(small.astype(np.uint8, copy=False))
        logits = self.logits(pixels.to(self.texts.device))
        logits = _enlarged(logits, (height, width))[0]
        return decide(logits, self.class_of_query, self.decoding).cpu().numpy()

    def logits(self, pixels: Tensor) -> Tensor:
        """Average the windows' logits: (1, queries, height, width) of the resized image."""
        height, width = pixels.shape[-2:]
        crop, stride = self.windows.window, self.windows.stride
        if crop is None:
            return self._window_logits(pixels)
        parts = (
            ((top, bottom, left, right), self._window_logits(pixels[..., top:bottom, left:right]))
            for top, bottom, left, right in boxes(height, width, crop, stride)
        )
        return averaged(parts, (height, width))

    def _window_logits(self, pixels: Tensor) -> Tensor:
        side = self.tower.vision.config.patch_size
        rows, columns = pixels.shape[-2] // side, pixels.shape[-1] // side
        features = self.tower(pixels)
        features = features / features.norm(dim=-1, keepdim=True)
        logits = features @ self.texts.T
        return _enlarged(logits.transpose(1, 2).unflatten(2, (rows, columns)), pixels.shape[-2:])


def normalised(picture: NDArray[np.uint8]) -> Tensor:
    """Return pixels (1, 3, height, width), float32, from levels in OpenCV's order."""
    levels = torch.from_numpy(np.ascontiguousarray(picture[:, :, ::-1].transpose(2, 0, 1))).float()
    mean, spread = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(SPREAD).view(3, 1, 1)
    return ((levels - mean) / spread)[None]


def boxes(height: int, width: int, crop: int, stride: int) -> Iterator[Box]:
    """Yield where windows lie, row by row, the last ones shifted inwards."""
    for i in range(max(height - crop + stride - 1, 0) // stride + 1):
        for j in range(max(width - crop + stride - 1, 0) // stride + 1):
            bottom, right = min(i * stride + crop, height), min(j * stride + crop, width)
            yield max(bottom - crop, 0), bottom, max(right - crop, 0), right


def averaged(parts: Iterator[tuple[Box, Tensor]], size: tuple[int, int]) -> Tensor:
    """Add up padded windows and divide by how many lie over each pixel.

    Args:
        parts: Positions and logits (1, queries, window height, window width).
        size: Size of the resized image.
    """
    height, width = size
    total = count = None
    for (top, bottom, left, right), logits in parts:
        if total is None or count is None:
            total = torch.zeros(1, logits.shape[1], height, width, device=logits.device)
            count = torch.zeros(1, 1, height, width, device=logits.device)
        total += F.pad(logits, (left, width - right, top, height - bottom))
        count[:, :, top:bottom, left:right] += 1
    if total is None or count is None or bool((count == 0).any()):
        raise ValueError("The windows do not cover all pixels.")
    return total / count


def decide(logits: Tensor, class_of_query: Tensor, decoding: DecodeSettings) -> Tensor:
    """Label every pixel, (height, width), from cosines (queries, height, width)."""
    scores = torch.softmax(logits * decoding.logit_scale, dim=0)
    classes, queries = int(class_of_query.max()) + 1, len(class_of_query)
    if classes != queries:
        belongs = F.one_hot(class_of_query).T.view(classes, queries, 1, 1)
        scores = (scores[None] * belongs).max(dim=1).values
    if decoding.area_threshold > 0:
        won = torch.bincount(scores.argmax(dim=0).flatten(), minlength=classes)[1:]
        large = won > decoding.area_threshold * won.sum()
        scores[1:] *= large.view(-1, 1, 1)
    best, labels = scores.max(dim=0)
    labels[best < decoding.threshold] = 0
    return labels


def decide_windows(
    logits: Tensor,
    places: Sequence[Box],
    resized: tuple[int, int],
    size: tuple[int, int],
    class_of_query: Tensor,
    decoding: DecodeSettings,
) -> Tensor:
    """Label every pixel of an image from the patches' logits: only steps 7 to 10.

    Args:
        logits: Cosines (windows, grid rows, grid columns, queries).
        places: Positions of the windows in the resized image.
        resized: Height and width of the resized image.
        size: Height and width of the original.
        class_of_query: The class of each query.
        decoding: How logits become labels.
    """
    windows = (
        (box, _enlarged(part.permute(2, 0, 1)[None], (box[1] - box[0], box[3] - box[2])))
        for box, part in zip(places, logits, strict=True)
    )
    full = _enlarged(averaged(windows, resized), size)[0]
    return decide(full, class_of_query, decoding)


def decide_bytes(queries: int, classes: int, size: tuple[int, int]) -> int:
    """Return the approximate peak of `decide` in bytes: logits twice, the scores, the product.

    The maximum over synonyms stores an 8-byte index with each value.
    """
    pixels = size[0] * size[1]
    joined = classes * pixels * (4 * queries + 12) if classes != queries else 0
    return 3 * queries * pixels * 4 + joined


def usual_texts(
    tower: TextTower,
    tokenizer: Callable[[list[str]], Tensor],
    queries: Sequence[str],
    templates: Sequence[str],
) -> Tensor:
    """Embed phrases (queries, E), one at a time, their prompts padded to the context length."""
    length, end = tower.config.max_position_embeddings, tower.config.eos_token_id
    embeddings: list[Tensor] = []
    for query in queries:
        ids = tokenizer([fill(template, query) for template in templates])
        ids = F.pad(ids, (0, length - ids.shape[1]), value=end).to(tower.positions.device)
        features = F.normalize(tower(ids).float(), dim=-1)
        embeddings.append(F.normalize(features.mean(dim=0), dim=-1))
    return torch.stack(embeddings)


def _enlarged(planes: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(planes, size=tuple(size), mode="bilinear", align_corners=False)
