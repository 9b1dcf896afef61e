from __future__ import annotations

import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

import lhtclip
from lhtclip import Segmenter, WindowSettings
from lhtclip.batch.chunks import Shard
from lhtclip.batch.folder import locked
from lhtclip.datasets import open_dataset
from lhtclip.datasets.dataset import Dataset, Sample
from lhtclip.datasets.samples import (
    choose_samples,
    labels_of_sample,
    labels_of_set,
    own_vocabulary,
    queries_of,
    vocabulary_of,
)
from lhtclip.encoder import DenseEncoder
from lhtclip.errors import InputError, OutputError
from lhtclip.evaluation.fingerprint import decisive_settings
from lhtclip.evaluation.runner import (
    Evaluation,
    Running,
    counts_file,
    evaluate,
    locked_counts,
)
from lhtclip.evaluation.trimap import in_band
from lhtclip.files.differences import differences
from lhtclip.methods import METHODS
from lhtclip.methods.naclip import NaclipSettings
from lhtclip.text.vocabulary import Vocabulary
from tests.evaluation.runs import (
    IGNORED,
    NAMES,
    Painted,
    drawn_dataset,
    painted,
    tiny_segmenter,
    words,
)
from tests.models import tiny_clip


def keys(dataset: Dataset) -> list[str]:
    return [sample.key for sample in dataset.samples]


def assert_equal(first: Evaluation, second: Evaluation) -> None:
    np.testing.assert_array_equal(first.confusion.matrix, second.confusion.matrix)
    assert first.confusion.names == second.confusion.names
    assert (first.trimap is None) == (second.trimap is None)
    if first.trimap and second.trimap:
        np.testing.assert_array_equal(first.trimap.matrix, second.trimap.matrix)
    np.testing.assert_array_equal(list(first.image_iou.values()), list(second.image_iou.values()))
    assert list(first.image_iou) == list(second.image_iou)


# What is counted


@pytest.mark.parametrize("candidates", [None, 3])
def test_counts_are_those_of_literal_loops(tmp_path: Path, candidates: int | None) -> None:
    dataset = drawn_dataset(tmp_path, images=7, candidates=candidates)
    evaluation = evaluate(painted(), dataset, words(dataset), trimap=1)
    matrix, band = np.zeros((2, 5, 5), dtype=np.int64)
    for sample in dataset.samples:
        red = np.asarray(Image.open(sample.image))[..., 0]
        truth = sample.truth()
        near = in_band(truth, radius=1)
        for place in np.ndindex(truth.shape):
            found = red[place] if sample.candidates is None else sample.candidates[red[place]]
            if truth[place] != IGNORED:
                matrix[truth[place], found] += 1
            if near[place] != IGNORED:
                band[truth[place], found] += 1
    np.testing.assert_array_equal(evaluation.confusion.matrix, matrix)
    assert evaluation.trimap is not None
    np.testing.assert_array_equal(evaluation.trimap.matrix, band)
    assert evaluation.confusion.names == NAMES
    assert evaluation.images == 7


def test_a_picture_scores_over_the_classes_of_its_truth(tmp_path: Path) -> None:
    truths = ([[0, 0, 1, IGNORED]], [[IGNORED] * 4], [[1, 1, 1, 1]])
    found = ([[0, 2, 1, 3]], [[0, 0, 0, 0]], [[1, 1, 3, 4]])
    samples = []
    for number, (truth, red) in enumerate(zip(truths, found, strict=True)):
        path = tmp_path / f"{number}.png"
        Image.fromarray(np.repeat(np.array(red, np.uint8)[..., None], 3, axis=2)).save(path)
        samples.append(Sample(str(number), path, lambda truth=truth: np.array(truth, np.uint8)))
    dataset = Dataset("three", NAMES, tuple(samples))
    evaluation = evaluate(painted(), dataset, words(dataset))
    first, second, third = evaluation.image_iou.values()
    assert first == pytest.approx((1 / 2 + 1) / 2)  # "sky", found by mistake, adds no class of 0
    assert math.isnan(second)
    assert third == 1 / 2
    # over the whole set a class that is only found counts as 0, as it does elsewhere
    assert evaluation.confusion.mean_iou == pytest.approx((1 / 2 + 3 / 5 + 0 + 0 + 0) / 5)


def test_halves_of_a_set_add_up(tmp_path: Path) -> None:
    dataset = drawn_dataset(tmp_path, images=13)
    whole = evaluate(painted(), dataset, words(dataset), trimap=8)
    first, second = (
        evaluate(painted(), replace(dataset, samples=part), words(dataset), trimap=8)
        for part in (dataset.samples[:5], dataset.samples[5:])
    )
    merged = first.confusion + second.confusion
    np.testing.assert_array_equal(merged.matrix, whole.confusion.matrix)
    assert merged.mean_iou == whole.confusion.mean_iou
    assert first.trimap
    assert second.trimap
    assert whole.trimap
    np.testing.assert_array_equal((first.trimap + second.trimap).matrix, whole.trimap.matrix)
    assert dict(first.image_iou) | dict(second.image_iou) == whole.image_iou


# Which pictures, and with which words


def test_limit_and_seed(tmp_path: Path) -> None:
    dataset = drawn_dataset(tmp_path, images=10)
    with pytest.raises(InputError, match="not 0"):
        choose_samples(dataset, limit=0)
    assert keys(choose_samples(dataset, limit=3)) == keys(dataset)[:3]
    assert keys(choose_samples(dataset, limit=99)) == keys(dataset)
    shuffled = keys(choose_samples(dataset, seed=1))
    assert sorted(shuffled) == keys(dataset)
    assert shuffled != keys(dataset)
    assert shuffled != keys(choose_samples(dataset, seed=2))
    assert keys(choose_samples(dataset, limit=4, seed=1)) == shuffled[:4]
    # the same on every machine and in every version
    assert shuffled[:3] == ["picture-07", "picture-00", "picture-08"]


def test_candidates_have_their_words_in_their_order() -> None:
    vocabulary = Vocabulary.of([["cat", "kitten"], "grass", ["sky", "cloud"]])
    sample = Sample("one", Path("one.png"), lambda: np.zeros((1, 1), np.uint8), (2, 0))
    own = vocabulary_of(sample, vocabulary)
    assert own == Vocabulary.of([["sky", "cloud"], ["cat", "kitten"]])
    assert vocabulary_of(replace(sample, candidates=None), vocabulary) is vocabulary
    dataset = Dataset("one", vocabulary.names, (sample,))
    assert queries_of(dataset, vocabulary) == ("sky", "cloud", "cat", "kitten")


def test_the_background_stays_one_among_candidates() -> None:
    vocabulary = Vocabulary.of(["cat", "sky"], background="wall|floor")
    sample = Sample("one", Path("one.png"), lambda: np.zeros((1, 1), np.uint8), (0, 2))
    assert vocabulary_of(sample, vocabulary) == Vocabulary.of(["sky"], background="wall|floor")
    assert vocabulary_of(replace(sample, candidates=(1, 2)), vocabulary).background is None


def test_labels_of_an_image_and_of_the_set() -> None:
    sample = Sample("one", Path("one.png"), lambda: np.zeros((1, 1), np.uint8), (2, 0))
    truth = np.array([[2, 0, IGNORED]], np.uint8)
    np.testing.assert_array_equal(labels_of_sample(sample, truth), [[0, 1, IGNORED]])
    np.testing.assert_array_equal(labels_of_set(sample, np.array([0, 1])), [2, 0])
    whole = replace(sample, candidates=None)
    assert labels_of_sample(whole, truth) is truth
    assert labels_of_set(whole, truth) is truth


# How it runs


def test_threads_change_nothing(tmp_path: Path) -> None:
    dataset = drawn_dataset(tmp_path, images=11)
    expected = evaluate(painted(), dataset, words(dataset), workers=1)
    for workers in (2, 5, 40):
        assert_equal(evaluate(painted(), dataset, words(dataset), workers=workers), expected)


def test_pictures_go_in_fixed_chunks(tmp_path: Path) -> None:
    dataset = drawn_dataset(tmp_path / "in", images=11)
    segmenter = Painted()
    evaluate(cast(Segmenter, segmenter), dataset, words(dataset), chunk=4)
    assert segmenter.batches == [4, 4, 3]


def test_progress_tells_the_running_score(tmp_path: Path) -> None:
    dataset = drawn_dataset(tmp_path, images=3)
    reports: list[Running] = []
    evaluation = evaluate(painted(), dataset, words(dataset), progress=reports.append)
    assert [(each.done, each.total, each.already) for each in reports] == [
        (done, 3, 0) for done in range(4)
    ]
    assert math.isnan(reports[0].mean_iou)
    assert reports[-1].mean_iou == evaluation.confusion.mean_iou
    assert evaluation.images_per_second == 3 / evaluation.seconds


class Stop(Exception):
    """What ends a run in a test."""


def stop_at(done: int) -> Any:
    def report(running: Running) -> None:
        if running.done == done:
            raise Stop

    return report


@pytest.mark.parametrize("stops", [(0,), (3,), (4,), (7, 8), (9,), (10,)])
def test_a_stopped_run_ends_the_same(tmp_path: Path, stops: tuple[int, ...]) -> None:
    dataset = drawn_dataset(tmp_path / "in", images=10)
    segmenter, options = tiny_segmenter(), {"chunk": 4, "folder": tmp_path / "out"}
    for done in stops:
        with pytest.raises(Stop):
            evaluate(segmenter, dataset, words(dataset), progress=stop_at(done), **options)
    reports: list[Running] = []
    resumed = evaluate(segmenter, dataset, words(dataset), progress=reports.append, **options)
    assert reports[0].already == (10 if max(stops) == 10 else max(stops) // 4 * 4)
    assert_equal(resumed, evaluate(segmenter, dataset, words(dataset), chunk=4))


def test_a_finished_run_needs_no_tower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = drawn_dataset(tmp_path / "in", images=5)
    segmenter = tiny_segmenter()
    first = evaluate(segmenter, dataset, words(dataset), folder=tmp_path / "out")
    monkeypatch.setattr(segmenter, "encode_many", None)
    again = evaluate(segmenter, dataset, words(dataset), folder=tmp_path / "out")
    assert_equal(again, first)
    assert again.seconds == first.seconds


_CHILD = """
import sys, time
from pathlib import Path
from lhtclip.batch.chunks import Shard
from lhtclip.batch.folder import locked
from lhtclip.datasets import open_dataset
from lhtclip.evaluation.runner import evaluate
from lhtclip.datasets.samples import choose_samples, own_vocabulary
from lhtclip import Segmenter, WindowSettings

windows = WindowSettings(short_side=96, window=64, stride=32)
segmenter = Segmenter.from_pretrained(
    "bundled", dtype="float32", device="cpu", templates="plain", windows=windows, text_cache=False
)
dataset = choose_samples(open_dataset("scenes"), limit=16)

def report(running):
    if running.done == 11:  # of 16, the second chunk of 8 is under way
        print("eleven", flush=True)
        time.sleep(600)

evaluate(segmenter, dataset, own_vocabulary(dataset), folder=Path(sys.argv[1]), progress=report)
"""


def test_a_killed_process_goes_on_where_it_was(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(lhtclip.__file__).parents[1])}
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(tmp_path)], stdout=subprocess.PIPE, env=environment
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"eleven\n"
    child.kill()
    assert child.wait() != 0
    child.stdout.close()

    segmenter = Segmenter.from_pretrained(
        "bundled",
        dtype="float32",
        device="cpu",
        templates="plain",
        windows=WindowSettings(short_side=96, window=64, stride=32),
        text_cache=False,
    )
    dataset = choose_samples(open_dataset("scenes"), limit=16)
    vocabulary = own_vocabulary(dataset)
    reports: list[Running] = []
    resumed = evaluate(segmenter, dataset, vocabulary, folder=tmp_path, progress=reports.append)
    assert reports[0].already == 8
    assert resumed.confusion.matrix.any()
    assert_equal(resumed, evaluate(segmenter, dataset, vocabulary))
    assert [path.name for path in tmp_path.iterdir()] == ["scenes.confusion.npz"]


# What is kept


def test_the_counts_file(tmp_path: Path) -> None:
    dataset = drawn_dataset(tmp_path / "in", images=5)
    evaluation = evaluate(
        tiny_segmenter(), dataset, words(dataset), folder=tmp_path / "out", trimap=8
    )
    with np.load(tmp_path / "out/drawn.confusion.npz") as arrays:
        np.testing.assert_array_equal(arrays["confusion"], evaluation.confusion.matrix)
        assert evaluation.trimap
        np.testing.assert_array_equal(arrays["trimap"], evaluation.trimap.matrix)
        assert tuple(arrays["names"]) == NAMES
        assert arrays["keys"].tolist() == keys(dataset)
        assert arrays["image_iou"].tolist() == list(evaluation.image_iou.values())


def test_predictions_are_label_maps_of_all_classes(tmp_path: Path) -> None:
    dataset = drawn_dataset(tmp_path / "in", images=3, candidates=2)
    segmenter = tiny_segmenter()
    evaluate(segmenter, dataset, words(dataset), folder=tmp_path, predictions=True)
    for sample in dataset.samples:
        assert sample.candidates is not None
        with Image.open(tmp_path / "drawn" / f"{sample.key}.png") as picture:
            assert picture.mode == "P"
            found = np.asarray(picture)
        own = [dataset.names[index] for index in sample.candidates]
        labels = segmenter.segment(sample.image, own).labels
        np.testing.assert_array_equal(found, np.array(sample.candidates)[labels])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "naclip"}, "method 'sclip', now 'naclip'"),
        ({"residual": False}, "residual True, now False"),
        ({"windows": WindowSettings(short_side=32, window=32, stride=8)}, "windows.stride 16, now"),
        ({"words": ["dog", *NAMES[1:]]}, "words"),
        ({"limit": 4}, "images 5, now 4"),
        ({"seed": 1}, "keys"),
        ({"trimap": 3}, "trimap 0, now 3"),
        ({"chunk": 3}, "chunk 8, now 3"),
        ({"predictions": True}, "predictions False, now True"),
        ({"weights": 7}, "image_tower"),
    ],
)
def test_counts_of_other_settings_are_not_continued(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    dataset = drawn_dataset(tmp_path / "in", images=5)
    out = tmp_path / "out"
    evaluate(tiny_segmenter(), dataset, words(dataset), folder=out)
    before = (out / "drawn.confusion.npz").read_bytes()

    segmenter = tiny_segmenter(**{k: v for k, v in change.items() if k in ("method", "residual")})
    segmenter.windows = change.get("windows", segmenter.windows)
    if "weights" in change:
        segmenter.encoder = DenseEncoder(tiny_clip(seed=change["weights"]))
        segmenter.checkpoint = replace(segmenter.checkpoint, model=segmenter.encoder.model)
    vocabulary = Vocabulary.of(change.get("words", NAMES))
    dataset = choose_samples(dataset, limit=change.get("limit"), seed=change.get("seed"))
    options = {k: v for k, v in change.items() if k in ("trimap", "chunk")}
    options["predictions"] = change.get("predictions", False)
    with pytest.raises(InputError, match=message) as caught:
        evaluate(segmenter, dataset, vocabulary, folder=out, **options)
    assert "delete" in str(caught.value)
    assert (out / "drawn.confusion.npz").read_bytes() == before
    fresh = evaluate(segmenter, dataset, vocabulary, folder=out, overwrite=True, **options)
    again = evaluate(segmenter, dataset, vocabulary, folder=out, **options)
    np.testing.assert_array_equal(fresh.confusion.matrix, again.confusion.matrix)


@pytest.mark.parametrize("file", ["image", "labels"])
def test_counts_of_other_files_are_not_continued(tmp_path: Path, file: str) -> None:
    dataset = drawn_dataset(tmp_path / "in", images=3)
    labels = tmp_path / "labels.png"
    labels.touch()
    first, *others = dataset.samples
    dataset = replace(dataset, samples=(replace(first, labels=labels), *others))
    evaluate(tiny_segmenter(), dataset, words(dataset), folder=tmp_path)
    evaluate(tiny_segmenter(), dataset, words(dataset), folder=tmp_path)
    changed = first.image if file == "image" else labels
    changed.write_bytes(dataset.samples[1].image.read_bytes())
    counts = tmp_path / "drawn.confusion.npz"
    with pytest.raises(InputError, match=f"{first.key} has changed.*delete {counts} to count"):
        evaluate(tiny_segmenter(), dataset, words(dataset), folder=tmp_path)


@pytest.mark.parametrize("content", [None, b"", b"another picture"])
def test_predictions_are_looked_at_again(tmp_path: Path, content: bytes | None) -> None:
    dataset = drawn_dataset(tmp_path / "in", images=3)
    evaluate(tiny_segmenter(), dataset, words(dataset), folder=tmp_path, predictions=True)
    evaluate(tiny_segmenter(), dataset, words(dataset), folder=tmp_path, predictions=True)
    key = dataset.samples[1].key
    prediction = tmp_path / f"drawn/{key}.png"
    prediction.unlink() if content is None else prediction.write_bytes(content)
    with pytest.raises(InputError, match=f"the prediction of {key} has changed since, or is miss"):
        evaluate(tiny_segmenter(), dataset, words(dataset), folder=tmp_path, predictions=True)


def test_overwriting_drops_old_predictions(tmp_path: Path) -> None:
    dataset = drawn_dataset(tmp_path / "in", images=5)
    options = {"folder": tmp_path / "out"}
    evaluate(tiny_segmenter(), dataset, words(dataset), predictions=True, **options)
    assert len(list((tmp_path / "out/drawn").iterdir())) == 5
    evaluate(tiny_segmenter(), dataset, words(dataset), overwrite=True, **options)
    assert not list((tmp_path / "out/drawn").iterdir())


def test_a_counts_file_that_is_none(tmp_path: Path) -> None:
    dataset = drawn_dataset(tmp_path / "in", images=2)
    (tmp_path / "drawn.confusion.npz").write_bytes(b"Dear diary")
    with pytest.raises(InputError, match="cannot be read"):
        evaluate(tiny_segmenter(), dataset, words(dataset), folder=tmp_path)


def test_what_decides_is_in_the_settings(tmp_path: Path) -> None:
    dataset = drawn_dataset(tmp_path / "in", images=2)
    settings = evaluate(tiny_segmenter(), dataset, words(dataset), folder=tmp_path).settings
    assert settings["windows"]["short_side"] == 32
    assert settings["decoding"]["logit_scale"] == 40
    assert (settings["dtype"], settings["device"]) == ("float32", "cpu")
    assert evaluate(tiny_segmenter(), dataset, words(dataset)).settings == {}


def test_one_weight_changes_the_fingerprint() -> None:
    model = tiny_clip()
    before = model.vision.fingerprint()
    assert tiny_clip().vision.fingerprint() == before
    model.vision.blocks[-1].attention.out_projection.bias[0] += 1e-6
    assert model.vision.fingerprint() != before


def test_settings_of_a_method_are_in_the_fingerprint(tmp_path: Path) -> None:
    dataset, plain = drawn_dataset(tmp_path, images=1), tiny_segmenter()

    def fingerprint(sigma: float) -> Any:
        method = replace(METHODS["naclip"], settings=NaclipSettings(sigma))
        other = Segmenter(plain.checkpoint, plain.encoder.with_method(method), plain.texts)
        return decisive_settings(other, dataset, words(dataset))

    five, one = fingerprint(5.0), fingerprint(1.0)
    assert differences(five, one) == "method_settings.sigma 5.0, now 1.0"


# What cannot be


def test_a_broken_picture_is_named_and_costs_little(tmp_path: Path) -> None:
    dataset = drawn_dataset(tmp_path / "in", images=10)
    segmenter, options = tiny_segmenter(), {"chunk": 4, "folder": tmp_path / "out"}
    broken = dataset.samples[9].image
    whole = broken.read_bytes()
    broken.write_bytes(b"Dear diary")
    with pytest.raises(InputError, match=r"picture-09\.png"):
        evaluate(segmenter, dataset, words(dataset), **options)
    broken.write_bytes(whole)
    reports: list[Running] = []
    repaired = evaluate(segmenter, dataset, words(dataset), progress=reports.append, **options)
    assert reports[0].already == 8  # all before it
    assert_equal(repaired, evaluate(segmenter, dataset, words(dataset), chunk=4))


def test_truth_that_does_not_fit(tmp_path: Path) -> None:
    dataset = drawn_dataset(tmp_path, images=2)
    first, second = dataset.samples
    small = replace(second, truth=lambda: np.zeros((3, 4), np.uint8))
    with pytest.raises(InputError, match=r"picture-01\.png has 3 x 4 pixels, its image 12 x 20"):
        evaluate(painted(), replace(dataset, samples=(first, small)), words(dataset))
    wild = replace(second, truth=lambda: np.full((12, 20), 5, np.uint8))
    with pytest.raises(InputError, match=r"picture-01\.png cannot be used.* 5 to 5"):
        evaluate(painted(), replace(dataset, samples=(first, wild)), words(dataset))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "workers must be at least 1"),
        ({"chunk": 0}, "chunk must be at least 1"),
        ({"trimap": -1}, "trimap must be at least 0"),
        ({"predictions": True}, "need a folder"),
    ],
)
def test_options_that_cannot_be(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    dataset = drawn_dataset(tmp_path, images=1)
    with pytest.raises(InputError, match=message):
        evaluate(painted(), dataset, words(dataset), **options)


def test_words_that_do_not_fit(tmp_path: Path) -> None:
    dataset = drawn_dataset(tmp_path, images=1)
    with pytest.raises(InputError, match="drawn has 5 classes, but words for 2"):
        evaluate(painted(), dataset, Vocabulary.of(["cat", "dog"]))
    with pytest.raises(InputError, match="has no images"):
        evaluate(painted(), replace(dataset, samples=()), words(dataset))


def test_two_runs_do_not_count_into_the_same_files(tmp_path: Path) -> None:
    with (
        locked_counts(tmp_path, "scenes"),
        locked_counts(tmp_path, "voc21"),
        locked_counts(tmp_path, "scenes", Shard(1, 2)),
        locked_counts(tmp_path, "scenes", Shard(2, 2)),
        pytest.raises(OutputError, match=r"counting scenes .*--out"),
        locked_counts(tmp_path, "scenes"),
    ):
        pass
    with (
        locked_counts(tmp_path, "scenes"),
        pytest.raises(OutputError, match="counting voc21"),
        locked_counts(tmp_path, "voc21", Shard(1, 2)),
        locked_counts(tmp_path, "voc21", Shard(1, 2)),
    ):
        pass
    with locked_counts(tmp_path / "new", "scenes"):
        pass
    assert list((tmp_path / "new").iterdir()) == []


def test_a_run_without_results_leaves_the_counts_of_shards(tmp_path: Path) -> None:
    counts = counts_file(tmp_path, "scenes", Shard(1, 2))
    counts.parent.mkdir(parents=True)
    counts.write_bytes(b"counts")
    with pytest.raises(RuntimeError), locked(tmp_path):
        raise RuntimeError
    assert counts.read_bytes() == b"counts"
