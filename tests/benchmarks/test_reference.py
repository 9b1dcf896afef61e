"""The usual way must give our results: it is a rival in speed, not another method."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.reference import (
    UsualTower,
    UsualWay,
    boxes,
    decide,
    decide_bytes,
    decide_windows,
    normalised,
    usual_texts,
)
from lhtclip.checkpoints.checkpoint import Checkpoint, load_checkpoint
from lhtclip.checkpoints.hub import BUNDLED_FOLDER
from lhtclip.clip.model import Clip
from lhtclip.datasets.scene_files import bundled_scenes
from lhtclip.decoding.decode import decode
from lhtclip.decoding.settings import DecodeSettings
from lhtclip.encoder import DenseEncoder
from lhtclip.image.windows import WindowSettings, plan_windows
from lhtclip.segmenter import Segmenter
from lhtclip.text.embeddings import TextEncoder, encode_queries
from lhtclip.text.vocabulary import Vocabulary
from tests.evaluation import literal_protocol
from tests.models import tiny_clip, tiny_pixels

CHECKPOINT = load_checkpoint(BUNDLED_FOLDER)
TEXTS = TextEncoder.of(CHECKPOINT, templates="photo", cache=False)
SCENE = bundled_scenes()[0]
WINDOWS = WindowSettings(short_side=96, window=64, stride=32)
NAMES = list(SCENE.names)
PLAIN = Vocabulary.of(NAMES)
SYNONYMS = Vocabulary.of(NAMES[2:], background=NAMES[:2])
SYNONYMS_INSIDE = Vocabulary.of([NAMES[:3], NAMES[3:5], *NAMES[5:]])


def clip(checkpoint: Checkpoint = CHECKPOINT) -> Clip:
    assert isinstance(checkpoint.model, Clip)
    return checkpoint.model


def usual(
    vocabulary: Vocabulary,
    *,
    windows: WindowSettings = WINDOWS,
    decoding: DecodeSettings = DecodeSettings(),  # noqa: B008 (frozen)
    checkpoint: Checkpoint = CHECKPOINT,
) -> UsualWay:
    return UsualWay(
        clip(checkpoint),
        TEXTS.encode(vocabulary.queries),
        vocabulary.class_of_query,
        windows=windows,
        decoding=decoding,
    )


def ours(
    path: Path, vocabulary: Vocabulary, windows: WindowSettings, decoding: DecodeSettings
) -> np.ndarray:
    encoder = DenseEncoder(CHECKPOINT.model, method="sclip")
    segmenter = Segmenter(CHECKPOINT, encoder, TEXTS, windows=windows, decoding=decoding)
    return segmenter.encode(path).segment(vocabulary).labels


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """The scene at the size that it is resized to: the resizes differ by a level."""
    path = tmp_path / "scene.png"
    Image.open(SCENE.image).convert("RGB").resize((131, 96)).save(path)
    return path


@pytest.mark.parametrize("size", [(32, 32), (40, 56)], ids=str)
@torch.inference_mode()
def test_tower(size: tuple[int, int]) -> None:
    model, pixels = tiny_clip(), tiny_pixels(1, *size)
    features = UsualTower(model)(pixels)[0]
    features = features / features.norm(dim=-1, keepdim=True)
    expected = DenseEncoder(model, method="sclip")(pixels)[0].flatten(0, 1)
    torch.testing.assert_close(features, expected, rtol=0, atol=2e-5)


@torch.inference_mode()
def test_tower_in_bfloat16_keeps_norms_in_float32() -> None:
    model, pixels = tiny_clip(), tiny_pixels(1)
    expected = UsualTower(model)(pixels)
    features = UsualTower(model.to(torch.bfloat16))(pixels)
    assert features.dtype == torch.bfloat16
    similarity = torch.cosine_similarity(features.float(), expected, dim=-1)
    assert similarity.min() > 0.99


@pytest.mark.parametrize("vocabulary", [PLAIN, SYNONYMS, SYNONYMS_INSIDE], ids=lambda v: v.names[0])
@pytest.mark.parametrize("window", [64, None])
def test_labels_are_ours(picture: Path, vocabulary: Vocabulary, window: int | None) -> None:
    windows = WindowSettings(short_side=96, window=window, stride=32)
    found = usual(vocabulary, windows=windows).label_file(picture)
    expected = ours(picture, vocabulary, windows, DecodeSettings())
    assert found.shape == expected.shape == (96, 131)
    assert len(np.unique(expected)) >= 3
    assert (found == expected).mean() >= 0.999


@pytest.mark.parametrize(
    "decoding",
    [DecodeSettings(50, 0.4), DecodeSettings(65, 0, 0.1), DecodeSettings(65, 0.3, 0.05)],
    ids=str,
)
def test_thresholds_are_ours(picture: Path, decoding: DecodeSettings) -> None:
    found = usual(SYNONYMS, decoding=decoding).label_file(picture)
    expected = ours(picture, SYNONYMS, WINDOWS, decoding)
    plain = ours(picture, SYNONYMS, WINDOWS, DecodeSettings(decoding.logit_scale))
    assert (expected != plain).any()
    assert (found == expected).mean() >= 0.999


def test_labels_of_a_picture_that_is_resized() -> None:
    found = usual(PLAIN).label_file(SCENE.image)
    expected = ours(SCENE.image, PLAIN, WINDOWS, DecodeSettings())
    assert (found == expected).mean() >= 0.98


def test_a_missing_picture_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        usual(PLAIN).label_file(tmp_path / "nowhere.png")


@pytest.mark.parametrize("decoding", [DecodeSettings(10, 0.2), DecodeSettings(10, 0, 0.1)])
@pytest.mark.parametrize("class_of_query", [(0, 1, 2, 3, 4), (0, 0, 1, 1, 1)], ids=str)
def test_decide_is_the_protocol_taken_literally(
    decoding: DecodeSettings, class_of_query: tuple[int, ...]
) -> None:
    logits = 0.2 * torch.randn(5, 9, 11, generator=torch.Generator().manual_seed(0))
    classes = max(class_of_query) + 1
    vocabulary = Vocabulary(tuple("abcde"[:classes]), tuple("vwxyz"), class_of_query, 0)
    scores = literal_protocol.class_scores(logits, vocabulary, decoding)
    expected = literal_protocol.decided(scores, decoding).labels
    found = decide(logits, torch.tensor(class_of_query), decoding)
    np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize("size", [(70, 90), (41, 37)], ids=str)
def test_decoding_at_full_size_is_ours(size: tuple[int, int]) -> None:
    plan = plan_windows(48, 61, window=32, stride=16)
    class_of_query = (0, 0, 1, 2, 2, 3)
    generator = torch.Generator().manual_seed(0)
    logits = 0.3 * torch.randn(len(plan.tops), len(plan.lefts), 4, 4, 6, generator=generator)
    decoding = DecodeSettings(threshold=0.3)
    found = decide_windows(
        logits.flatten(0, 1),
        list(boxes(48, 61, 32, 16)),
        (48, 61),
        size,
        torch.tensor(class_of_query),
        decoding,
    )
    expected, _ = decode(logits, plan, size, class_of_query, 4, decoding)
    assert (found.numpy() == expected).mean() >= 0.999


@pytest.mark.parametrize("size", [(336, 448), (224, 500), (100, 130)], ids=str)
def test_boxes_are_the_plans(size: tuple[int, int]) -> None:
    plan = plan_windows(*size, window=224, stride=112)
    height, width = plan.window_height, plan.window_width
    expected = [(top, top + height, left, left + width) for top in plan.tops for left in plan.lefts]
    assert list(boxes(*size, 224, 112)) == expected


def test_levels_become_red_green_blue() -> None:
    picture = np.zeros((2, 3, 3), np.uint8)
    picture[..., 0] = 255  # blue comes first in OpenCV
    pixels = normalised(picture)
    assert pixels.shape == (1, 3, 2, 3)
    assert pixels[0, 2].min() > 0 > pixels[0, 0].max()


@torch.inference_mode()
def test_texts_are_ours() -> None:
    tower, tokenizer = clip().text, CHECKPOINT.tokenizer
    templates, queries = ("a photo of a {}.", "the {}"), NAMES[:4]
    found = usual_texts(tower, tokenizer, queries, templates)
    expected = encode_queries(tower, tokenizer, queries, templates)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_coco_object_needs_the_memory_that_was_published() -> None:
    assert decide_bytes(113, 81, (480, 640)) == pytest.approx(11.9e9, rel=0.05)
