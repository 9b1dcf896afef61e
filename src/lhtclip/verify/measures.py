"""Measurements of a checkpoint to compare with published answers.

Inputs are built as in the sources: constant pixels, seeded noise, or a photo that is resized,
cropped and normalised as in `transformers`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lhtclip.checkpoints.checkpoint import Checkpoint
from lhtclip.datasets.scene_files import bundled_scenes
from lhtclip.errors import InputError
from lhtclip.image.pixels import read_image
from lhtclip.verify.files import changed_files

Photo = NDArray[np.uint8] | None
Measure = Callable[..., Any]


def logits_of_constants(
    checkpoint: Checkpoint, photo: Photo, *, token_ids: list[list[int]], levels: list[float]
) -> Any:
    """Return logits (texts, images) of token ids and of constant, already normalised pixels."""
    pixels = torch.cat([_constant(checkpoint, level) for level in levels])
    images, texts = checkpoint.model.vision(pixels), checkpoint.model.text(torch.tensor(token_ids))
    return (_scale(checkpoint) * _unit(texts) @ _unit(images).T).tolist()


def image_hidden(checkpoint: Checkpoint, photo: Photo, *, level: float) -> Any:
    """Return a corner of the tokens after the last block, before the final norm."""
    x = _after_last_block(checkpoint, _constant(checkpoint, level))
    return x[0, 1:4, 1:4].tolist()


def image_pooled(checkpoint: Checkpoint, photo: Photo, *, level: float) -> Any:
    """Return three numbers of the class token after the final norm."""
    x = _after_last_block(checkpoint, _constant(checkpoint, level))
    return checkpoint.model.vision.final_norm(x[:, 0])[0, 1:4].tolist()


def seeded_score(checkpoint: Checkpoint, photo: Photo, *, seed: int, text: str) -> Any:
    """Return 100 × the cosine of a text and an image of seeded noise."""
    image = checkpoint.model.vision(_noise(checkpoint, seed))
    return float(100 * _unit(image)[0] @ _texts(checkpoint, [text])[0])


def seeded_images(checkpoint: Checkpoint, photo: Photo, *, seeds: list[int]) -> Any:
    """Return 100 × the cosine of two images of seeded noise."""
    first, second = (_unit(checkpoint.model.vision(_noise(checkpoint, seed))) for seed in seeds)
    return float(100 * first[0] @ second[0])


def text_score(checkpoint: Checkpoint, photo: Photo, *, texts: list[str]) -> Any:
    """Return 100 × the cosine of two texts."""
    first, second = _texts(checkpoint, texts)
    return float(100 * first @ second)


def text_features(
    checkpoint: Checkpoint, photo: Photo, *, texts: list[str], unit: bool = True
) -> Any:
    """Return the first five numbers of the first text's feature, of unit length or as it is."""
    feature = checkpoint.model.text(checkpoint.tokenizer(texts))[0].float()
    return (_unit(feature) if unit else feature)[:5].tolist()


def tokens(checkpoint: Checkpoint, photo: Photo, *, text: str) -> Any:
    """Return the tokens of a text up to its end, which is the last token of CLIP's vocabulary."""
    ids: list[int] = checkpoint.tokenizer([text])[0].tolist()
    return ids[: ids.index(max(ids)) + 1]


def photo_logits(
    checkpoint: Checkpoint,
    photo: Photo,
    *,
    texts: list[str],
    squashed: bool = False,
    kernel: str = "bicubic",
) -> Any:
    """Return the logits of a photo for texts; squashed, it becomes a square without a crop."""
    pixels = _pixels(checkpoint, photo, squashed=squashed, kernel=kernel)
    image = _unit(checkpoint.model.vision(pixels))
    logits = _scale(checkpoint) * image[0] @ _texts(checkpoint, texts).T
    return (logits + _bias(checkpoint)).tolist()


def photo_features(
    checkpoint: Checkpoint, photo: Photo, *, squashed: bool = False, kernel: str = "bicubic"
) -> Any:
    """Return the first five numbers of a photo's feature, of unit length."""
    pixels = _pixels(checkpoint, photo, squashed=squashed, kernel=kernel)
    return _unit(checkpoint.model.vision(pixels))[0, :5].tolist()


def photo_patch(
    checkpoint: Checkpoint, photo: Photo, *, squashed: bool = False, kernel: str = "bicubic"
) -> Any:
    """Return the first five numbers of a photo's first patch after the last norm."""
    vision = checkpoint.model.vision
    x = _after_last_block(checkpoint, _pixels(checkpoint, photo, squashed=squashed, kernel=kernel))
    return vision.final_norm(x[0, vision.class_tokens])[:5].tolist()


def photo_shares(checkpoint: Checkpoint, photo: Photo, *, texts: list[str]) -> Any:
    """Return the softmax of a photo's logits."""
    return torch.tensor(photo_logits(checkpoint, photo, texts=texts)).softmax(dim=0).tolist()


def photo_preferred(checkpoint: Checkpoint, photo: Photo, *, texts: list[str]) -> Any:
    """Return the index of the text most similar to a photo."""
    return int(np.argmax(photo_logits(checkpoint, photo, texts=texts)))


def scene_preferred(checkpoint: Checkpoint, photo: Photo, *, scene: str, texts: list[str]) -> Any:
    """Return the index of the text most similar to a bundled scene."""
    found = next(each for each in bundled_scenes() if each.name == scene)
    return photo_preferred(checkpoint, read_image(found.image), texts=texts)


def changed_weights(checkpoint: Checkpoint, photo: Photo) -> Any:
    """Return how many weight files differ from what their publisher named."""
    return len(changed_files(checkpoint.directory))


def shapes_and_finiteness(checkpoint: Checkpoint, photo: Photo) -> Any:
    """Return the number of features of an image and of a text, and whether all are finite."""
    image = checkpoint.model.vision(_noise(checkpoint, 0))
    texts = _texts(checkpoint, ["a photo of a cat"])
    finite = bool(image.isfinite().all() and texts.isfinite().all())
    return [image.shape[-1] - texts.shape[-1], int(finite)]


MEASURES: dict[str, Measure] = {
    "logits_of_constants": logits_of_constants,
    "image_hidden": image_hidden,
    "image_pooled": image_pooled,
    "seeded_score": seeded_score,
    "seeded_images": seeded_images,
    "text_score": text_score,
    "text_features": text_features,
    "tokens": tokens,
    "photo_logits": photo_logits,
    "photo_features": photo_features,
    "photo_patch": photo_patch,
    "photo_shares": photo_shares,
    "photo_preferred": photo_preferred,
    "scene_preferred": scene_preferred,
    "changed_weights": changed_weights,
    "shapes_and_finiteness": shapes_and_finiteness,
}


def _unit(features: Tensor) -> Tensor:
    return F.normalize(features.float(), dim=-1)


def _texts(checkpoint: Checkpoint, texts: Sequence[str]) -> Tensor:
    return _unit(checkpoint.model.text(checkpoint.tokenizer(list(texts))))


def _scale(checkpoint: Checkpoint) -> float:
    scale = getattr(checkpoint.model, "logit_scale", None)
    return math.exp(float(scale)) if scale is not None else 1.0


def _bias(checkpoint: Checkpoint) -> float:
    bias = getattr(checkpoint.model, "logit_bias", None)
    return float(bias) if bias is not None else 0.0


def _side(checkpoint: Checkpoint) -> int:
    return checkpoint.model.config.vision.image_size


def _constant(checkpoint: Checkpoint, level: float) -> Tensor:
    side = _side(checkpoint)
    return torch.full((1, 3, side, side), level)


def _noise(checkpoint: Checkpoint, seed: int) -> Tensor:
    side, generator = _side(checkpoint), torch.Generator().manual_seed(seed)
    levels = torch.randint(255, (3, side, side), generator=generator)
    return _normalised(checkpoint, levels.float() / 255)[None]


def _pixels(
    checkpoint: Checkpoint, photo: Photo, *, squashed: bool = False, kernel: str = "bicubic"
) -> Tensor:
    """Resize the shorter side and crop the centre, or resize both sides; normalise."""
    if photo is None:
        raise InputError("This answer needs the photo. Pass --image FILE.")
    side, picture = _side(checkpoint), Image.fromarray(photo)
    scale = side / min(picture.size)
    size = (max(side, int(picture.width * scale)), max(side, int(picture.height * scale)))
    size = (side, side) if squashed else size
    picture = picture.resize(size, Image.Resampling[kernel.upper()])
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    levels = torch.from_numpy(np.array(picture.crop((left, top, left + side, top + side))))
    return _normalised(checkpoint, levels.permute(2, 0, 1).float() / 255)[None]


def _normalised(checkpoint: Checkpoint, levels: Tensor) -> Tensor:
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in _levels(checkpoint))
    return (levels - mean) / std


def _levels(checkpoint: Checkpoint) -> tuple[Any, Any]:
    return checkpoint.pixels.mean, checkpoint.pixels.std


def _after_last_block(checkpoint: Checkpoint, pixels: Tensor) -> Tensor:
    vision = checkpoint.model.vision
    x = vision.embed(pixels)
    for block in vision.blocks_for(vision.grid(pixels)):
        x = block(x)
    return x
