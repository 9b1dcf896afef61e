"""Every format, opened by the program that it is for, is the label map pixel for pixel."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.readers.conftest import NAMES

Labels = dict[str, np.ndarray]


def objects(labels: np.ndarray) -> np.ndarray:
    """Class indices where 0 is everything that is no object."""
    return np.where(labels == 255, 0, labels)


def test_pycocotools_draws_coco(out: Path, labels: Labels) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    data = coco.COCO(out / "coco/annotations/instances_default.json")
    for image in data.loadImgs(data.getImgIds()):
        drawn = np.zeros((image["height"], image["width"]), np.uint8)
        for annotation in data.loadAnns(data.getAnnIds(imgIds=[image["id"]])):
            drawn[data.annToMask(annotation) > 0] = annotation["category_id"]
        np.testing.assert_array_equal(
            drawn, objects(labels[Path(image["file_name"]).with_suffix("").as_posix()])
        )


def test_supervision_reads_coco(out: Path, labels: Labels) -> None:
    supervision = pytest.importorskip("supervision")
    data = supervision.DetectionDataset.from_coco(
        str(out / "yolo/images"),
        str(out / "coco/annotations/instances_default.json"),
        force_masks=True,
    )
    assert data.classes == list(NAMES[1:])
    assert len(data.annotations) == len(labels)
    for path, detections in data.annotations.items():
        own = labels[Path(path).relative_to(out / "yolo/images").with_suffix("").as_posix()]
        drawn = np.zeros_like(own)
        for mask, number in zip(detections.mask, detections.class_id, strict=True):
            drawn[mask] = number + 1
        np.testing.assert_array_equal(drawn, objects(own))


def test_supervision_draws_detections(out: Path, labels: Labels) -> None:
    supervision = pytest.importorskip("supervision")
    from lhtclip.output.annotations.classes import ClassList
    from lhtclip.output.annotations.supervision import detections
    from lhtclip.regions.instances import instances_of

    own = labels["a"]
    found = detections(instances_of(own, skipped=(0,)), ClassList(NAMES, 0))
    drawn = np.zeros_like(own)
    for mask, number, name in zip(found.mask, found.class_id, found["class_name"], strict=True):
        drawn[mask] = number
        assert name == NAMES[number]
    np.testing.assert_array_equal(drawn, objects(own))
    paper = np.zeros((*own.shape, 3), np.uint8)
    picture = supervision.MaskAnnotator(opacity=1).annotate(paper, found)
    np.testing.assert_array_equal(picture.any(axis=2), drawn > 0)


def test_supervision_reads_yolo_but_for_borders(out: Path, labels: Labels) -> None:
    """It rounds outlines to whole pixels and fills their right and lower borders too."""
    supervision = pytest.importorskip("supervision")
    data = supervision.DetectionDataset.from_yolo(
        str(out / "yolo/images"),
        str(out / "yolo/labels"),
        str(out / "yolo/data.yaml"),
        force_masks=True,
    )
    own, drawn = labels["a"], np.zeros_like(labels["a"])
    (detections,) = (found for path, found in data.annotations.items() if path.endswith("a.jpg"))
    for mask, number in zip(detections.mask, detections.class_id, strict=True):
        drawn[mask] = number + 1
    assert np.mean(drawn == objects(own)) > 0.97


@pytest.mark.parametrize("name", ["coco", "panoptic"])
def test_datumaro_reads_both_kinds_of_coco(
    out: Path, labels: Labels, tmp_path: Path, name: str
) -> None:
    datumaro = pytest.importorskip("datumaro")
    shutil.copytree(out / name, tmp_path / name)
    (tmp_path / name / "images").mkdir()  # it wants the folder, not the images
    format = {"coco": "coco_instances", "panoptic": "coco_panoptic"}[name]
    data = datumaro.Dataset.import_from(str(tmp_path / name), format)
    check_datumaro(data, labels, shift=1 if name == "coco" else 0)


def check_datumaro(data: object, labels: Labels, *, shift: int) -> None:
    items = list(data)
    assert len(items) == len(labels)
    categories = next(iter(data.categories().values()))
    names = [each.name for each in categories.items]
    for item in items:
        own = labels[item.id]
        drawn = np.full_like(own, 0)
        for annotation in item.annotations:
            mask = getattr(annotation, "image", None)
            if mask is not None:
                drawn[np.asarray(mask) > 0] = NAMES.index(names[annotation.label])
        expected = objects(own) if shift else own
        np.testing.assert_array_equal(drawn, np.where(expected == 255, 0, expected))


def test_voc_is_laid_out_as_the_development_kit_says(out: Path, labels: Labels) -> None:
    """Datumaro takes palettes of other colours than VOC's for undeclared: literal rules instead."""
    image = pytest.importorskip("PIL.Image")
    names = (out / "voc/classes.txt").read_text(encoding="utf-8").splitlines()
    stems = (out / "voc/ImageSets/Segmentation/default.txt").read_text("utf-8").splitlines()
    assert (tuple(names), stems) == (NAMES, list(labels))
    for stem in stems:
        mask = image.open(out / f"voc/SegmentationClass/{stem}.png")
        assert mask.mode == "P"
        np.testing.assert_array_equal(np.asarray(mask), labels[stem])
        assert image.open(out / f"voc/JPEGImages/{stem}.jpg").size == mask.size


def test_labelme_reads_its_files(out: Path, labels: Labels) -> None:
    label_file = pytest.importorskip("labelme._label_file")
    shape = pytest.importorskip("labelme.utils.shape")
    for stem, own in labels.items():
        read = label_file.LabelFile(str(out / f"labelme/{stem}.json"))
        assert read.imageData
        values = dict(zip(NAMES, range(len(NAMES)), strict=True))
        drawn, _ = shape.shapes_to_label(own.shape, read.shapes, values)
        np.testing.assert_array_equal(drawn, objects(own))


def test_label_studios_converter_decodes_brushes(out: Path, labels: Labels) -> None:
    brush = pytest.importorskip("label_studio_sdk.converter.brush")
    tasks = json.loads((out / "label-studio/tasks.json").read_text(encoding="utf-8"))
    for task, own in zip(tasks, labels.values(), strict=True):
        drawn = np.zeros_like(own)
        for result in task["predictions"][0]["result"]:
            flat = brush.decode_rle(result["value"]["rle"])
            mask = flat.reshape(*own.shape, 4)[..., 3] > 0
            drawn[mask] = NAMES.index(result["value"]["brushlabels"][0])
        np.testing.assert_array_equal(drawn, objects(own))


def test_label_studio_takes_the_predictions(out: Path) -> None:
    interface = pytest.importorskip("label_studio_sdk.label_interface")
    view = interface.LabelInterface((out / "label-studio/interface.xml").read_text("utf-8"))
    for task in json.loads((out / "label-studio/tasks.json").read_text(encoding="utf-8")):
        assert view.validate_task({"data": task["data"]})
        for prediction in task["predictions"]:
            assert view.validate_prediction(prediction, return_errors=True) == []


def test_datasets_loads_the_image_folder(out: Path, labels: Labels) -> None:
    datasets = pytest.importorskip("datasets")
    data = datasets.load_dataset("imagefolder", data_dir=str(out / "hf"), split="train")
    assert sorted(data.column_names) == ["image", "mask"]
    assert len(data) == len(labels)
    for row in data:
        mask = np.asarray(row["mask"])
        assert any(np.array_equal(mask, own) for own in labels.values())
        assert row["image"].size == row["mask"].size


def test_fiftyone_imports_the_folder(out: Path, labels: Labels) -> None:
    fiftyone = pytest.importorskip("fiftyone")
    importers = pytest.importorskip("fiftyone.utils.data.importers")
    importer = importers.ImageSegmentationDirectoryImporter(str(out / "fiftyone"), load_masks=True)
    importer.setup()
    found = list(importer)
    assert len(found) == len(labels)
    targets = json.loads((out / "fiftyone/mask_targets.json").read_text(encoding="utf-8"))
    assert targets == {str(index): name for index, name in enumerate(NAMES, start=1)}
    for path, _, label in found:
        own = labels[Path(path).relative_to(out / "fiftyone/data").with_suffix("").as_posix()]
        assert isinstance(label, fiftyone.Segmentation)
        np.testing.assert_array_equal(label.mask, np.where(own == 255, 0, own + 1))


@pytest.mark.parametrize("folder", ["yolo-semantic/masks", "hf/masks"])
def test_opencv_and_imageio_read_grey_labels(out: Path, labels: Labels, folder: str) -> None:
    cv2, imageio = pytest.importorskip("cv2"), pytest.importorskip("imageio.v3")
    for stem, own in labels.items():
        path = out / folder / f"{stem}.png"
        np.testing.assert_array_equal(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), own)
        np.testing.assert_array_equal(imageio.imread(path), own)


def test_ultralytics_rules_hold(out: Path, labels: Labels) -> None:
    """docs.ultralytics.com/datasets/semantic and /segment, as literal checks."""
    yaml, cv2 = pytest.importorskip("yaml"), pytest.importorskip("cv2")
    semantic = yaml.safe_load((out / "yolo-semantic/data.yaml").read_text(encoding="utf-8"))
    assert semantic["names"] == dict(enumerate(NAMES))
    for image in (out / "yolo-semantic" / semantic["train"]).rglob("*.jpg"):
        mask = Path(str(image).replace("/images/", f"/{semantic['masks_dir']}/")).with_suffix(
            ".png"
        )
        values = cv2.imread(str(mask), cv2.IMREAD_UNCHANGED)
        assert values.ndim == 2
        assert set(np.unique(values)) <= {*semantic["names"], 255}
        assert values.shape == cv2.imread(str(image)).shape[:2]
    instances = yaml.safe_load((out / "yolo/data.yaml").read_text(encoding="utf-8"))
    for image in (out / "yolo" / instances["train"]).rglob("*.jpg"):
        text = Path(str(image).replace("/images/", "/labels/")).with_suffix(".txt").read_text()
        for line in text.splitlines():
            number, *points = line.split()
            assert int(number) in instances["names"]
            assert len(points) >= 6
            assert len(points) % 2 == 0
            assert all(0 <= float(value) <= 1 for value in points)


@pytest.mark.parametrize(("format", "folder"), [("voc", "cvat"), ("coco", "coco")])
def test_cvats_importer_reads_masks_and_coco(
    out: Path, labels: Labels, tmp_path: Path, format: str, folder: str
) -> None:
    """CVAT imports with a fork of Datumaro: give a checkout as LHTCLIP_CVAT_DATUMARO."""
    checkout = os.environ.get("LHTCLIP_CVAT_DATUMARO")
    if not checkout:
        pytest.skip("LHTCLIP_CVAT_DATUMARO names no checkout of github.com/cvat-ai/datumaro")
    script = Path(__file__).with_name("cvat_importer.py")
    command = [sys.executable, str(script), checkout, format, str(out / folder), str(tmp_path)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = json.loads(printed.splitlines()[-1])
    assert found.keys() == labels.keys()
    for stem, own in labels.items():
        drawn = np.zeros_like(own)
        with np.load(found[stem]["masks"]) as masks:
            for place, name in enumerate(found[stem]["names"]):
                drawn[masks[str(place)]] = NAMES.index(name)
        np.testing.assert_array_equal(drawn, objects(own))


def test_pandas_reads_both_tables(out: Path, labels: Labels) -> None:
    pandas = pytest.importorskip("pandas")
    text, binary = pandas.read_csv(out / "areas.csv"), pandas.read_parquet(out / "areas.parquet")
    pandas.testing.assert_frame_equal(text, binary, check_dtype=False)
    assert sorted(Path(name).stem for name in set(text["image"])) == ["a", "ünö b"]
    for stem, own in labels.items():
        (rows,) = (rows for name, rows in text.groupby("image") if name.startswith(f"{stem}."))
        assert rows["class"].tolist() == list(NAMES)
        assert rows["pixels"].tolist() == [int((own == index).sum()) for index in range(len(NAMES))]
        assert rows["share"].sum() == pytest.approx(1, abs=1e-5)


def test_opencv_reads_margins(out: Path, labels: Labels) -> None:
    cv2 = pytest.importorskip("cv2")
    for stem, own in labels.items():
        levels = cv2.imread(str(out / f"{stem}.margin.png"), cv2.IMREAD_UNCHANGED)
        assert (levels.shape, levels.dtype) == (own.shape, np.uint8)
        assert levels.std() > 0


def test_cvats_masks_have_declared_colours_only(out: Path, labels: Labels) -> None:
    """CVAT's importer has no package of its own: its documented rules, literally."""
    image = pytest.importorskip("PIL.Image")
    colours = {}
    for line in (out / "cvat/labelmap.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            name, colour, _, _ = line.split(":")
            colours[tuple(map(int, colour.split(",")))] = name
    stems = (out / "cvat/ImageSets/Segmentation/default.txt").read_text("utf-8").splitlines()
    assert stems == list(labels)
    for stem in stems:
        pixels = np.asarray(image.open(out / f"cvat/SegmentationClass/{stem}.png"))
        drawn = np.zeros(pixels.shape[:2], np.uint8)
        for colour, name in colours.items():
            drawn[(pixels == colour).all(axis=2)] = NAMES.index(name)
        assert set(map(tuple, pixels.reshape(-1, 3).tolist())) <= colours.keys()
        np.testing.assert_array_equal(drawn, objects(labels[stem]))
