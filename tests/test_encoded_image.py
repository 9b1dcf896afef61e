"""An encoded image as a value: it answers words again and again, here and in another process."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from lhtclip import Segmenter
from lhtclip.encoded_image import EncodedImage
from lhtclip.errors import InputError
from lhtclip.methods import METHODS
from tests.evaluation.runs import tiny_segmenter

IMAGE = (
    np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8).repeat(9, 0).repeat(8, 1)
)
WORDS = ["cat", "grass", "sky", "road", "car"]


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return tiny_segmenter()


@pytest.fixture(scope="module")
def encoded(segmenter: Segmenter) -> EncodedImage:
    return segmenter.encode(IMAGE)


def test_it_answers_as_its_segmenter(segmenter: Segmenter, encoded: EncodedImage) -> None:
    for options in ({}, {"background": "wall"}, {"threshold": 0.2}):
        expected = segmenter.segment(IMAGE, WORDS, **options)
        for given in (
            encoded.segment(WORDS, **options),
            segmenter.segment(encoded, WORDS, **options),
        ):
            np.testing.assert_array_equal(given.labels, expected.labels)
            np.testing.assert_array_equal(given.scores, expected.scores)
            assert given.names == expected.names


def test_pickles_are_small_and_keep_everything(segmenter: Segmenter, encoded: EncodedImage) -> None:
    data = pickle.dumps(encoded)
    content = encoded.image.nbytes + encoded.embeddings.numel() * 4
    assert content < len(data) < content + 2000
    loaded: EncodedImage = pickle.loads(data)
    np.testing.assert_array_equal(loaded.image, IMAGE)
    assert torch.equal(loaded.embeddings, encoded.embeddings)
    assert loaded.plan == encoded.plan
    given, expected = segmenter.segment(loaded, WORDS), encoded.segment(WORDS)
    np.testing.assert_array_equal(given.scores, expected.scores)


def test_an_unpickled_image_has_no_model(encoded: EncodedImage) -> None:
    loaded: EncodedImage = pickle.loads(pickle.dumps(encoded))
    with pytest.raises(InputError, match=r"no model: call segmenter\.segment\(encoded, classes\)"):
        loaded.segment(WORDS)


def test_an_image_of_another_model(segmenter: Segmenter, encoded: EncodedImage) -> None:
    shorter = EncodedImage(encoded.image, encoded.plan, encoded.embeddings[..., :5])
    with pytest.raises(InputError, match=r"encoded by another model: .* length 5"):
        segmenter.segment(shorter, WORDS)


def test_two_passes_answer_after_a_pickle_too(segmenter: Segmenter) -> None:
    method = METHODS["resclip-sfr"]
    twice = Segmenter(segmenter.checkpoint, segmenter.encoder.with_method(method), segmenter.texts)
    encoded = twice.encode(IMAGE)
    loaded: EncodedImage = pickle.loads(pickle.dumps(encoded))
    np.testing.assert_array_equal(
        twice.segment(loaded, WORDS).scores, encoded.segment(WORDS).scores
    )


def test_maps_agree_with_labels_and_scores(encoded: EncodedImage) -> None:
    maps = encoded.maps(["margin", "entropy", "probabilities"], WORDS)
    result = encoded.segment(WORDS)
    chances = np.stack([encoded.probabilities(name, WORDS) for name in WORDS])
    best, second = np.sort(chances, axis=0)[[-1, -2]]
    np.testing.assert_allclose(maps["margin"], best - second, atol=1e-6)
    np.testing.assert_allclose(best, result.scores, atol=1e-5)
    assert maps["entropy"].shape == result.labels.shape
    np.testing.assert_array_equal(maps["probabilities"], encoded.scores(WORDS))
    with pytest.raises(InputError, match=r"Unknown map 'heat'.*margin"):
        encoded.maps(["heat"], WORDS)
