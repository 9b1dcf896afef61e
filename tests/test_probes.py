"""Probabilities at a pixel, per patch and per class agree with the labels and scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lhtclip import Segmenter
from lhtclip.encoded_image import EncodedImage
from lhtclip.errors import InputError, UnknownNameError

CLASSES = [["dog", "puppy"], "pizza", "grass"]


@pytest.fixture(scope="module")
def encoded() -> EncodedImage:
    image = np.random.default_rng(0).integers(0, 256, (150, 230, 3)).astype(np.uint8)
    image[:, 100:] //= 4
    return Segmenter.from_pretrained("bundled").encode(image)


def test_a_probe_is_the_score_of_the_label(encoded: EncodedImage) -> None:
    result = encoded.segment(CLASSES, background="sky")
    for x, y in [(0, 0), (229, 149), (101, 77)]:
        found = encoded.probe(x, y, CLASSES, background="sky", k=2)
        assert len(found) == 2
        name, chance = found[0]
        assert name == result.names[result.labels[y, x]]
        assert chance == pytest.approx(result.scores[y, x], abs=1e-5)
        assert chance >= found[1][1]


def test_probabilities_of_the_winner_are_the_scores(
    encoded: EncodedImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lhtclip.encoded_image._FLOATS", 230 * 4 * 17)  # several bands
    result = encoded.segment(CLASSES)
    planes = np.stack([encoded.probabilities(name, CLASSES) for name in result.names])
    assert planes.dtype == np.float32
    np.testing.assert_allclose(planes.max(axis=0), result.scores, atol=1e-5)
    won = np.take_along_axis(planes, result.labels[None].astype(int), axis=0)[0]
    np.testing.assert_allclose(won, result.scores, atol=1e-5)


def test_scores_have_a_value_a_patch(encoded: EncodedImage) -> None:
    scores = encoded.scores(["dog", "pizza", "grass"])
    rows, columns = scores.shape[1:]
    assert rows / columns == pytest.approx(150 / 230, rel=0.1)
    np.testing.assert_allclose(scores.sum(axis=0), 1, atol=1e-5)
    middle = encoded.probabilities("dog", ["dog", "pizza", "grass"]).mean()
    assert scores[0].mean() == pytest.approx(middle, abs=0.02)


def test_a_class_without_words_has_no_probability(encoded: EncodedImage) -> None:
    assert dict(encoded.probe(3, 3, CLASSES))["dog"] > 0
    with pytest.raises(UnknownNameError, match=r"'cat'.*dog, pizza, grass"):
        encoded.probabilities("cat", CLASSES)


@pytest.mark.parametrize(("x", "y"), [(230, 0), (0, 150)])
def test_pixels_outside_are_refused(encoded: EncodedImage, x: int, y: int) -> None:
    with pytest.raises(InputError, match=rf"\({x}, {y}\) is outside .* 230 x 150"):
        encoded.probe(x, y, CLASSES)
    with pytest.raises(InputError, match="x must be a whole number from 0 on, not -1"):
        encoded.probe(-1, 0, CLASSES)


def test_size_and_identity(encoded: EncodedImage) -> None:
    assert encoded.nbytes == 150 * 230 * 3 + encoded.embeddings.numel() * 4
    same = replace(encoded, image=encoded.image.copy())
    assert same.fingerprint == encoded.fingerprint
    other = replace(encoded, image=255 - encoded.image)
    assert other.fingerprint != encoded.fingerprint


def test_segmenters_of_other_settings_have_other_fingerprints() -> None:
    segmenter = Segmenter.from_pretrained("bundled")
    assert segmenter.replace(method="naclip").fingerprint != segmenter.fingerprint
    assert Segmenter.from_pretrained("bundled").fingerprint == segmenter.fingerprint
