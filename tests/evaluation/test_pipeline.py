"""From an image file to labels and counts: the package against the protocol taken literally."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import Base as ExifTag

from lhtclip.datasets import open_dataset
from lhtclip.datasets.scene_files import Scene, bundled_scenes
from lhtclip.decoding.pamr import PamrSettings
from lhtclip.decoding.settings import DecodeSettings
from lhtclip.evaluation.published_protocols import PROTOCOLS
from lhtclip.evaluation.runner import evaluate
from lhtclip.image.windows import WindowSettings
from lhtclip.segmenter import Segmenter
from lhtclip.text.embeddings import TextEncoder
from lhtclip.text.vocabulary import Vocabulary
from tests.datasets.trees import voc_tree
from tests.evaluation import literal_protocol
from tests.evaluation.pipelines import (
    CHECKPOINT,
    COLOUR_TEXTS,
    SYNONYMS,
    TEXTS,
    WINDOWS,
    WORDS,
    Pipeline,
    literal_texts,
    picture,
    saved,
)

# Windows


@pytest.mark.parametrize(
    ("shape", "windows"),
    [
        ((54, 72), WINDOWS),
        ((72, 54), WINDOWS),  # upright
        ((54, 72), replace(WINDOWS, short_side=80)),  # enlarged
        ((150, 301), replace(WINDOWS, short_side=41)),  # reduced, to odd sides
        ((61, 67), WindowSettings(short_side=61, window=37, stride=13)),  # nothing fits anything
        ((50, 60), WindowSettings(short_side=50, window=32, stride=32)),  # no overlap but the last
        ((54, 72), replace(WINDOWS, window=None)),  # whole image
        ((33, 91), replace(WINDOWS, window=None, short_side=45)),  # whole, positions interpolated
        ((54, 72), WindowSettings(short_side=24, window=64, stride=32)),  # smaller than a window
        ((20, 200), WindowSettings(48, long_side=290, window=32, stride=16)),  # long side binds,
        ((20, 500), WindowSettings(48, long_side=290, window=32, stride=16)),  # below a window
        ((48, 64), WINDOWS),  # not resized
    ],
    ids=str,
)
def test_windows(shape: tuple[int, int], windows: WindowSettings, tmp_path: Path) -> None:
    expected = Pipeline(windows).check(saved(tmp_path, picture(*shape)))
    assert expected.labels.shape == shape
    assert len(np.unique(expected.labels)) >= 2


def test_windows_in_small_batches(tmp_path: Path) -> None:
    Pipeline(replace(WINDOWS, batch=2)).check(saved(tmp_path, picture()))


def test_the_whole_image_goes_by_its_resized_size(tmp_path: Path) -> None:
    """Straight from the grid would be something else, so the test above can tell."""
    path = saved(tmp_path, picture(111, 150))
    whole = Pipeline(replace(WINDOWS, window=None))
    scores = whole.check(path).scores
    patches = whole.segmenter.encode(path).embeddings[0, 0]
    logits = (patches @ COLOUR_TEXTS.encode(WORDS.queries).T).permute(2, 0, 1)[None]
    straight = F.interpolate(logits, size=(111, 150), mode="bilinear")
    difference = torch.softmax(40 * straight, dim=1).amax(dim=1)[0].numpy() - scores
    assert np.abs(difference).max() > 0.01


# Words and thresholds


@pytest.mark.parametrize("vocabulary", [WORDS, SYNONYMS], ids=["words", "synonyms"])
@pytest.mark.parametrize("scale", [1.0, 40.0, 65.0])
def test_words(vocabulary: Vocabulary, scale: float, tmp_path: Path) -> None:
    path = saved(tmp_path, picture())
    Pipeline(decoding=DecodeSettings(scale), vocabulary=vocabulary).check(path)


def test_a_background_by_threshold_alone(tmp_path: Path) -> None:
    """Class 0 then has no word: it never wins, but takes what no other class is sure of."""
    vocabulary = Vocabulary.of(["red|yellow", "blue|cyan", "white"], threshold=0.5)
    path = saved(tmp_path, picture())
    before = Pipeline(vocabulary=vocabulary).check(path)
    after = Pipeline(decoding=DecodeSettings(threshold=0.5), vocabulary=vocabulary).check(path)
    assert 0 not in before.labels
    assert 0 < (after.labels == 0).mean() < 1


@pytest.mark.parametrize("window", [32, None])
def test_thresholds(window: int | None, tmp_path: Path) -> None:
    path = saved(tmp_path, picture())
    plain = Pipeline(replace(WINDOWS, window=window), vocabulary=SYNONYMS)
    before = plain.check(path)
    middle = float(np.median(before.scores[before.labels > 0]))
    struck = replace(plain, decoding=DecodeSettings(area_threshold=0.25)).check(path)
    unsure = replace(plain, decoding=DecodeSettings(threshold=middle)).check(path)
    both = replace(plain, decoding=DecodeSettings(40.0, middle, 0.25)).check(path)
    assert set(np.unique(struck.labels)) < set(np.unique(before.labels))
    assert (unsure.labels == 0).sum() > (before.labels == 0).sum() + 100
    for one in (before, struck, unsure):
        assert (both.labels != one.labels).any()


def test_pamr(tmp_path: Path) -> None:
    path = saved(tmp_path, picture(24, 31))
    refined = DecodeSettings(pamr=PamrSettings(iterations=2, dilations=(1, 3)))
    after = Pipeline(decoding=refined).check(path)
    assert np.abs(after.scores - Pipeline().check(path).scores).max() > 0.01


def test_a_word_of_two_classes_goes_to_the_first(tmp_path: Path) -> None:
    vocabulary = Vocabulary.of(
        ["red", "white", "blue"], background="black|white", allow_shared_queries=True
    )
    path = saved(tmp_path, picture())
    result = Pipeline(vocabulary=vocabulary).segment(path)
    expected = Pipeline(vocabulary=vocabulary).segment_literally(path)
    np.testing.assert_array_equal(result.labels, expected.labels)
    assert vocabulary.names.index("white") not in result.labels
    assert 0 in result.labels


# Files


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_jpegs_with_an_orientation(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTag.Orientation] = orientation
    path = tmp_path / "photo.jpg"
    Image.fromarray(picture()).save(path, quality=95, subsampling=0, exif=exif)
    expected = Pipeline().check(path)
    assert expected.labels.shape == ((72, 54) if orientation > 4 else (54, 72))


@pytest.mark.parametrize("scene", bundled_scenes()[:3], ids=lambda scene: scene.name)
def test_with_opencvs_own_resize(scene: Scene) -> None:
    """The real model on pictures: what the resize does otherwise moves no label to speak of."""
    segmenter = bundled_segmenter()
    vocabulary = Vocabulary.of(scene.classes, allow_shared_queries=True)
    expected = literal_protocol.segment(
        scene.image,
        lambda pixels: segmenter.encoder(pixels.float()),
        segmenter.texts.encode(vocabulary.queries),
        vocabulary,
        windows=segmenter.windows,
        decoding=segmenter.decoding,
    )
    found = segmenter.encode(scene.image).segment(vocabulary)
    assert (found.labels == expected.labels).mean() >= 0.999
    np.testing.assert_allclose(found.scores, expected.scores, rtol=0, atol=0.05)


@cache
def bundled_segmenter() -> Segmenter:
    return Segmenter.from_pretrained(
        "bundled", lht=False, templates="photo", dtype="float32", text_cache=False
    )


# Records


@pytest.mark.parametrize("key", PROTOCOLS, ids="-".join)
def test_records_a_seventh_of_their_size(key: tuple[str, str], tmp_path: Path) -> None:
    """All sizes of the protocols are multiples of 7: as many windows, of 4 x 4 patches."""
    protocol = PROTOCOLS[key]
    windows = protocol.windows
    reduced = WindowSettings(
        windows.short_sides[0] // 7,
        windows.long_side // 7,
        windows.window and windows.window // 7,
        windows.stride // 7,
        resize=windows.resize,
    )
    decoding = replace(protocol.decoding, prior=0.0)  # tests/segmenter/test_gains.py has it
    if decoding.tlp:  # 7 x 8 cells, for the literal version; and single precision lasts 5 steps
        decoding = replace(decoding, tlp=replace(decoding.tlp, grid=8, iterations=5))
    small = replace(protocol, windows=reduced, decoding=decoding)
    Pipeline.of(small, texts=TEXTS).check(saved(tmp_path, picture()))


def test_a_record_of_full_size(tmp_path: Path) -> None:
    """Windows of 224 pixels on a short side of 336, VOC21's words."""
    path = tmp_path / "photo.jpg"
    Image.fromarray(picture(120, 160)).save(path)
    pipeline = Pipeline.of(PROTOCOLS["voc21", "sclip"], texts=TEXTS)
    assert pipeline.segmenter.encode(path).plan.count == 6
    pipeline.check(path)


def test_prompts() -> None:
    """All 80 of them, one after the other."""
    texts = TextEncoder.of(CHECKPOINT, templates=PROTOCOLS["voc21", "sclip"].templates, cache=False)
    words = PROTOCOLS["voc21", "sclip"].vocabulary().queries[:6]
    assert len(texts.templates) == 80
    expected = literal_texts(words, texts.templates)
    torch.testing.assert_close(texts.encode(words).double(), expected, rtol=0, atol=1e-6)


# Counts


@pytest.mark.parametrize("name", ["voc21", "voc20"])
def test_counts(name: str, tmp_path: Path) -> None:
    """Label maps keep their size; VOC20 reads the same files as VOC21 without its label 0."""
    maps = {"2007_000033": truth_ids(54, 72), "2007_000042": truth_ids(61, 45, seed=1)}
    root = voc_tree(tmp_path, maps)
    dataset = open_dataset(name, root)
    for seed, sample in enumerate(dataset.samples):
        Image.fromarray(picture(*maps[sample.key].shape, seed=seed)).save(sample.image, quality=95)
    pipeline = replace(Pipeline.of(PROTOCOLS[name, "sclip"], texts=TEXTS), windows=WINDOWS)
    found = [pipeline.segment_literally(sample.image).labels for sample in dataset.samples]
    truths = [maps[sample.key] for sample in dataset.samples]
    if name == "voc20":
        truths = [literal_protocol.zero_label_reduced(truth) for truth in truths]
    expected = literal_protocol.class_ious(truths, found, len(dataset.names))
    result = evaluate(pipeline.segmenter, dataset, pipeline.vocabulary)
    np.testing.assert_allclose(list(result.confusion.iou.values()), expected, atol=1e-12)
    assert result.confusion.mean_iou == pytest.approx(np.nanmean(expected))
    assert result.confusion.matrix.sum() == sum((truth != 255).sum() for truth in truths)
    assert np.nanmax(expected) > 0.01


def truth_ids(height: int, width: int, *, seed: int = 0) -> NDArray[np.uint8]:
    """Squares of ids as VOC has them: 0 the background, 20 classes, and 255 for none."""
    generator = np.random.default_rng(seed)
    ids = np.array([*range(21), 255], dtype=np.uint8)
    squares = generator.choice(ids, (height // 9 + 1, width // 9 + 1))
    return squares.repeat(9, axis=0).repeat(9, axis=1)[:height, :width]
