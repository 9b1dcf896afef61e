from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lhtclip.datasets import DATASETS, SPECS, open_dataset
from lhtclip.datasets.check import DatasetReport, check_dataset, spread, wrong_count
from lhtclip.datasets.dataset import Dataset, Sample, published_names
from lhtclip.errors import InputError, listed
from tests.datasets import trees

EVERY_NAME_OF_CONTEXT = published_names("context59")
Labels = Any  # (H, W) integers, 255 where ignored
Make = Callable[..., Dataset]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write pictures of the maps' sizes, and make a data set of them."""

    def make(
        maps: Sequence[Labels],
        *,
        name: str = "mine",
        names: Sequence[str] = ("sky", "grass", "car"),
        published: int | None = None,
        candidates: tuple[int, ...] | None = None,
    ) -> Dataset:
        samples: list[Sample] = []
        for number, labels in enumerate(maps):
            truth = np.asarray(labels, dtype=np.uint8)
            path = tmp_path / f"p{number:03d}.png"
            Image.new("RGB", truth.shape[1::-1]).save(path)
            samples.append(Sample(path.stem, path, lambda truth=truth: truth, candidates))
        return Dataset(name, tuple(names), tuple(samples), published=published)

    return make


def published_set(make: Make, maps: Sequence[Labels]) -> Dataset:
    """ADE20K, had it as few pictures as there are maps."""
    classes = [f"class {index}" for index in range(SPECS["ade20k"].classes or 0)]
    return make(maps, name="ade20k", names=classes, published=len(maps))


def kinds(report: DatasetReport, *, broken: bool) -> list[str]:
    return [finding.kind for finding in report.findings if finding.broken is broken]


def ade_maps() -> list[np.ndarray]:
    """Two maps with every class of ADE20K, most of it class 0, and some ignored pixels."""
    rows = np.zeros((2, 40, 40), dtype=np.uint8)
    rows[:, 0, :10] = 255
    rows.reshape(2, -1)[0, 50:125] = np.arange(75)
    rows.reshape(2, -1)[1, 50:125] = np.arange(75, 150)
    return list(rows)


def test_counts_are_those_of_the_maps(make: Make) -> None:
    report = check_dataset(make([[[0, 0, 1], [2, 255, 255]], [[0, 1], [1, 1]]]))
    assert report.findings == ()
    assert not report.broken
    assert report.maps == 2
    assert report.pixels == (3, 4, 1)
    assert report.occurrences == (2, 2, 1)
    assert report.ignored == 2
    assert report.shares == (0.3, 0.4, 0.1)
    assert report.ignored_share == 0.2
    assert [sample.key for sample in report.sound] == ["p000", "p001"]


def test_progress_counts_every_map(make: Make) -> None:
    calls: list[tuple[int, int]] = []
    check_dataset(make([[[0, 1]], [[1, 2]]]), progress=lambda *call: calls.append(call))
    assert calls == [(1, 2), (2, 2)]


def test_some_maps_are_spread_over_the_set(make: Make) -> None:
    dataset = make([[[index % 3, 1]] for index in range(10)])
    report = check_dataset(dataset, maps=2)
    assert [sample.key for sample in report.sound] == ["p002", "p007"]
    assert report.maps == 2
    assert report.findings == ()  # that two maps lack a class says nothing
    with pytest.raises(InputError, match="not 0"):
        check_dataset(dataset, maps=0)


@given(length=st.integers(0, 60), count=st.integers(1, 70))
def test_spread(length: int, count: int) -> None:
    picked = spread(range(length), count)
    assert len(picked) == min(length, count)
    assert len(set(picked)) == len(picked)
    assert list(picked) == sorted(picked)
    gaps = np.diff([-1, *picked, length]) if picked else np.zeros(1)
    assert gaps.max() <= 2 * max(1, length / max(1, len(picked))) + 1


def test_labels_without_a_class(make: Make) -> None:
    report = check_dataset(make([[[0, 1, 2]], [[0, 7, 9]], [[0, 200, 3]]]))
    assert report.broken
    first, second = report.findings
    assert (first.kind, first.images, first.ids) == ("label without a class", ("p001",), (7, 9))
    assert "p001.png" in first.text
    assert "7, 9" in first.text
    assert "0 to 2" in first.text
    assert second.ids == (3, 200)
    assert report.pixels == (1, 1, 1)  # of the sound map only
    assert [sample.key for sample in report.sound] == ["p000"]


def test_labels_beside_the_candidates(make: Make) -> None:
    report = check_dataset(make([[[0, 2, 255]], [[0, 1, 2]]], candidates=(0, 2)))
    (finding,) = (
        report.findings
    )  # nothing about class 1: where there are candidates, some may be in vain
    assert (finding.images, finding.ids) == (("p001",), (1,))
    assert "it may have 0, 2" in finding.text


def test_a_map_of_another_size_than_its_picture(make: Make) -> None:
    dataset = make([[[0, 1, 2], [0, 1, 2]], [[0, 1, 2], [0, 1, 1]]])
    Image.new("RGB", (2, 3)).save(dataset.samples[1].image)
    (finding,) = check_dataset(dataset).findings
    assert finding.broken
    assert finding.text == f"{dataset.samples[1].image} has 3 x 2 pixels, its label map 2 x 3."


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize(("orientation", "fits"), [(1, True), (3, True), (6, False), (8, False)])
def test_pictures_are_turned_as_their_exif_says(
    make: Make, tmp_path: Path, suffix: str, orientation: int, fits: bool
) -> None:
    path = tmp_path / f"turned{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (3, 2)).save(path, exif=exif)
    sample = Sample("turned", path, lambda: np.array([[0, 1, 2], [0, 1, 2]], np.uint8))
    report = check_dataset(Dataset("mine", ("a", "b", "c"), (sample,)))
    assert kinds(report, broken=True) == ([] if fits else ["size of a label map"])


def test_a_map_without_rows(make: Make) -> None:
    dataset = make([[[0, 1, 2]]])
    flat = Sample("flat", dataset.samples[0].image, lambda: np.zeros(3, np.uint8))
    empty = Sample("empty", dataset.samples[0].image, lambda: np.zeros((0, 3), np.uint8))
    report = check_dataset(Dataset("mine", dataset.names, (*dataset.samples, flat, empty)))
    assert [finding.images for finding in report.findings] == [("flat",), ("empty",)]


def test_files_that_cannot_be_read(make: Make, tmp_path: Path) -> None:
    dataset = make([[[0, 1, 2]], [[0, 1, 1]], [[0, 0, 2]]])
    dataset.samples[1].image.unlink()
    dataset.samples[2].image.write_text("Dear diary")

    def refuse() -> Any:
        raise InputError("The label map x.png holds RGB colours.")

    colours = Sample("x", dataset.samples[0].image, refuse)
    report = check_dataset(Dataset("mine", dataset.names, (*dataset.samples, colours)))
    assert kinds(report, broken=True) == [
        "unreadable file",
        "unreadable file",
        "unreadable file",
    ]
    assert "p001.png" in report.findings[0].text
    assert report.findings[2].text == "The label map x.png holds RGB colours."
    assert report.findings[2].images == ("x",)


def test_a_set_of_which_nothing_can_be_read() -> None:
    def refuse() -> Any:
        raise InputError("broken")

    report = check_dataset(Dataset("mine", ("a",), (Sample("x", Path("x.png"), refuse),)))
    assert kinds(report, broken=True) == ["unreadable file"]
    assert report.shares == (0.0,)
    assert report.ignored_share == 0


def test_classes_that_never_occur(make: Make) -> None:
    (finding,) = check_dataset(make([[[0, 2, 2]]])).findings
    assert finding.ids == (1,)
    assert "1 (grass)" in finding.text
    assert not finding.broken  # nobody says that one's own classes all occur


@pytest.mark.parametrize(
    ("pictures", "published", "text"),
    [(2, 3, "has 2 images here, its publisher counts 3"), (2, 1, "counts 1"), (0, None, "has 0")],
)
def test_a_wrong_count_is_broken(
    make: Make, pictures: int, published: int | None, text: str
) -> None:
    dataset = make([[[0, 1, 2]]] * pictures, published=published)
    finding = wrong_count(dataset)
    assert finding is not None
    assert text in finding.text
    assert check_dataset(dataset).findings[0] == finding
    assert finding.broken


def test_counts_in_circulation_are_right(make: Make) -> None:
    sample = Sample("x", Path("x.png"), lambda: np.zeros((1, 1), np.uint8))
    counts = {
        pictures: wrong_count(Dataset("context59", ("a",), (sample,) * pictures, published=5104))
        for pictures in (5103, 5104, 5105, 5106)
    }
    assert [count for count, finding in counts.items() if finding is None] == [5104, 5105]
    assert wrong_count(Dataset("mine", ("a",), (sample,))) is None


def test_a_published_set_as_it_should_be(make: Make) -> None:
    report = check_dataset(published_set(make, ade_maps()))
    assert report.findings == ()


def test_zero_label_taken_away_before(make: Make) -> None:
    """Maps of 0 to 149 and 255, whose 255 was dropped: all classes move down by one."""
    maps = [np.where(labels == 255, 0, labels.astype(int) - 1) % 256 for labels in ade_maps()]
    report = check_dataset(published_set(make, maps))
    (absent,) = (finding for finding in report.findings if finding.broken)
    assert absent.ids == (149,)


def test_ones_own_set_may_have_a_published_name(make: Make) -> None:
    assert check_dataset(make([[[0, 1, 2]]], name="voc21")).findings == ()


def test_the_report_as_a_dict(make: Make) -> None:
    report = check_dataset(make([[[0, 0, 1, 255]]]))
    content = report.to_dict()
    assert content["classes"][0] == {"index": 0, "name": "sky", "share": 0.5, "maps": 1}
    assert content["ignored_share"] == 0.25
    assert content["images"] == content["maps"] == 1
    assert content["broken"] is False
    assert content["findings"][0]["kind"] == "absent class"
    assert content["findings"][0]["ids"] == (2,)


def test_long_lists_are_cut() -> None:
    assert listed([1, 2]) == "1, 2"
    assert listed(range(14), most=12).endswith("10, 11 and 2 more")


def test_what_is_expected_fits_the_readers(tmp_path: Path) -> None:
    for name in DATASETS:
        dataset = open_dataset(name, trees.TREES[name](tmp_path / name))
        assert len(dataset.names) == SPECS[name].classes
        assert dataset.published == SPECS[name].images[0]


def test_expected_layouts_are_those_of_the_trees(tmp_path: Path) -> None:
    trees_of = {
        "voc21": (trees.voc_tree,),
        "context60": (trees.context_tree, mat_tree),
        "coco_object": (trees.coco_raw_tree, json_tree, trees.coco_object_toolbox_tree),
        "cityscapes": (trees.cityscapes_tree, train_ids_tree),
        "ade20k": (trees.ade_tree,),
        "coco_stuff171": (trees.coco_raw_tree, trees.coco_stuff_toolbox_tree),
    }
    for name, functions in trees_of.items():
        for layout, function in zip(SPECS[name].layouts, functions, strict=True):
            folder = tmp_path / name / function.__name__
            folder.mkdir(parents=True)
            place, _, paths = layout.rpartition(": ")
            function(folder)
            assert all(any((folder / place).glob(path)) for path in paths.split(", "))
            assert len(open_dataset(name, folder).samples) > 0
            assert len(open_dataset(name, folder / place).samples) > 0


def test_the_documentation_has_the_same_numbers() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "data-sets.md"
    text = page.read_text(encoding="utf-8")
    for name in DATASETS:
        assert f"| `{name}` | {SPECS[name].images[0]} | {SPECS[name].classes}" in text
    for name in SPECS:
        assert f"lhtclip datasets check {name}" in text


@pytest.mark.parametrize("name", [*trees.TREES, "scenes"])
def test_what_the_readers_read_is_sound(name: str, tmp_path: Path) -> None:
    dataset = open_dataset(name, trees.TREES[name](tmp_path) if name in trees.TREES else None)
    report = check_dataset(dataset)
    assert report.sound == dataset.samples
    expected = ["count of images"] if name in DATASETS else []
    assert kinds(report, broken=True) == expected


def test_label_maps_with_strange_ids(tmp_path: Path) -> None:
    root = trees.ade_tree(tmp_path, {"a": [[0, 1, 151]], "b": [[0, 255, 2]], "c": [[1, 2, 3]]})
    report = check_dataset(open_dataset("ade20k", root))
    texts = [f.text for f in report.findings if f.kind == "unreadable file"]
    assert len(texts) == 2
    assert "a.png" in texts[0]
    assert "151" in texts[0]
    assert "b.png" in texts[1]
    assert "255" in texts[1]


def test_label_maps_that_are_no_label_maps(tmp_path: Path) -> None:
    root = trees.voc_tree(tmp_path)
    first, second = sorted((root / "VOCdevkit/VOC2012/SegmentationClass").iterdir())
    Image.new("RGB", (4, 3)).save(first)
    second.write_bytes(second.read_bytes()[:-30])
    report = check_dataset(open_dataset("voc21", root))
    unreadable = [f for f in report.findings if f.kind == "unreadable file"]
    assert [finding.images for finding in unreadable] == [(first.stem,), (second.stem,)]
    assert str(first) in unreadable[0].text
    assert "RGB" in unreadable[0].text
    assert str(second) in unreadable[1].text


def mat_tree(folder: Path) -> Path:
    return trees.context_mat_tree(folder, labels=EVERY_NAME_OF_CONTEXT)


def json_tree(folder: Path) -> Path:
    square = {"image_id": 139, "category_id": 1, "segmentation": [[0, 0, 2, 0, 2, 2, 0, 2]]}
    return trees.coco_json_tree(folder, {"000000000139": (4, 5)}, [square])


def train_ids_tree(folder: Path) -> Path:
    suffix = "_gtFine_labelTrainIds.png"
    return trees.cityscapes_tree(folder, trees.CITYSCAPES_TRAIN_MAPS, suffix=suffix)
