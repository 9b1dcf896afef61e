"""A method that looks at an image twice, in the encoder and in the segmenter."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lhtclip import Segmenter, WindowSettings
from lhtclip.datasets.scene_files import bundled_scenes
from lhtclip.decoding.patch_labels import label_patches
from lhtclip.encoder import DenseEncoder
from lhtclip.methods import METHODS
from lhtclip.segmenter.second_pass import encode_again
from lhtclip.techniques.atr import AtrSettings
from lhtclip.techniques.settings import OFF, LhtSettings
from lhtclip.techniques.she import SheSettings
from lhtclip.techniques.ssr import SsrSettings
from tests import literal
from tests.literal import feedback
from tests.models import PATCH, tiny_clip, tiny_pixels

LHT = LhtSettings(
    ssr=SsrSettings(layers=(3, 4), alpha=0.5),
    atr=AtrSettings(threshold=0.3),
    she=SheSettings(heads=((2, 1), (4, 3)), beta=0.2),
)
SCENES = bundled_scenes()[:2]


# The encoder


def texts(lht: LhtSettings = OFF) -> Tensor:
    """Return what sets some patches of the tiny model apart, so that several texts win."""
    encoder = DenseEncoder(tiny_clip(), method="resclip", lht=lht)
    patches = encoder(tiny_pixels(2, 40, 50))[0].flatten(0, 1)
    mean = F.normalize(patches.mean(dim=0), dim=0)
    return F.normalize((patches - (patches @ mean)[:, None] * mean)[::7], dim=1)


@pytest.mark.parametrize("lht", [OFF, LHT], ids=["none", "ATR+SSR+SHE"])
def test_second_pass_is_the_literal_one(lht: LhtSettings) -> None:
    pixels = tiny_pixels(2, 40, 50)
    encoder = DenseEncoder(tiny_clip(), method="resclip-sfr", lht=lht)
    first = encoder(pixels)
    assert torch.equal(first, DenseEncoder(tiny_clip(), method="resclip", lht=lht)(pixels))
    labels = label_patches(first, texts(lht), pixels, patch=PATCH, logit_scale=40.0, threshold=0.25)
    assert len(labels.unique()) > 1
    given = encode_again(encoder, pixels, first, texts(lht))
    maps = (feedback.belonging(window.numpy()) for window in labels)
    expected = literal.encode(
        pixels,
        encoder.model,
        method=lambda inside: feedback.second_run(
            inside, next(maps), base="naclip", scale=1.8, share=0.7
        ),
        lht=lht,
        residual=False,
        mlp_kept=False,
    )
    torch.testing.assert_close(given, torch.from_numpy(expected).float(), rtol=0, atol=1e-5)
    assert (given - first).abs().max() > 1e-3


def test_methods_of_one_pass_keep_their_embeddings() -> None:
    encoder, pixels = DenseEncoder(tiny_clip(), method="resclip"), tiny_pixels()
    first = encoder(pixels)
    assert encode_again(encoder, pixels, first, texts()) is first


def test_batch_is_windows_one_by_one() -> None:
    encoder, pixels = DenseEncoder(tiny_clip(), method="resclip-sfr"), tiny_pixels(3)
    together = encode_again(encoder, pixels, encoder(pixels), texts())
    for one, expected in zip(pixels, together, strict=True):
        alone = encode_again(encoder, one[None], encoder(one[None]), texts())
        torch.testing.assert_close(alone[0], expected)


# The segmenter


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter.from_pretrained(
        "bundled",
        method="resclip-sfr",
        dtype="float32",
        text_cache=False,
        windows=WindowSettings(short_side=64, window=48, stride=32, batch=4),
    )


def test_images_together_are_images_alone(segmenter: Segmenter) -> None:
    images, words = [scene.image for scene in SCENES], list(SCENES[0].names)
    for image, result in zip(images, segmenter.segment(list(images), words), strict=True):
        alone = segmenter.segment(image, words)
        assert (result.labels == alone.labels).mean() > 0.999
        np.testing.assert_allclose(result.scores, alone.scores, atol=1e-3)


def test_an_encoded_image_looks_again_for_every_vocabulary(segmenter: Segmenter) -> None:
    plain = Segmenter(
        segmenter.checkpoint,
        segmenter.encoder.with_method(METHODS["resclip"]),
        segmenter.texts,
        windows=segmenter.windows,
    )
    words = list(SCENES[0].names)
    encoded, once = (each.encode(SCENES[0].image) for each in (segmenter, plain))
    assert torch.equal(encoded.embeddings, once.embeddings)
    for part in (words[:5], words[5:]):
        twice = encoded.segment(part)
        np.testing.assert_array_equal(twice.scores, encoded.segment(part).scores)
        assert (twice.scores != once.segment(part).scores).any()
