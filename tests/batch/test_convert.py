"""Label PNGs of ours and of others become other formats."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lhtclip.batch.convert import convert_files
from lhtclip.encoded_image import MAPS
from lhtclip.errors import InputError
from lhtclip.formats import SINKS
from lhtclip.formats.sink import OutputOptions
from lhtclip.output.png import decode_labels
from lhtclip.segmentation import Segmentation

LABELS = np.array([[0, 1, 1], [0, 255, 1]], np.uint8)
NAMES = ("road", "sky")


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    """Two of ours, one in a subfolder, beside files that are no labels."""
    scores = np.ones(LABELS.shape, np.float32)
    (tmp_path / "masks/sub").mkdir(parents=True)
    for name in ("one.png", "sub/zwei ü.png"):
        Segmentation(LABELS, scores, NAMES).save(tmp_path / "masks" / name)
    Image.new("L", (3, 2)).save(tmp_path / "masks/one.sky.mask.png")
    (tmp_path / "masks/notes.txt").write_text("no labels")
    return tmp_path / "masks"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos/sub").mkdir(parents=True)
    for name in ("one.jpg", "sub/zwei ü.jpg"):
        Image.new("RGB", (3, 2)).save(tmp_path / "photos" / name)
    return tmp_path / "photos"


def test_names_inside_the_files_are_enough(masks: Path, tmp_path: Path) -> None:
    written = convert_files(masks, tmp_path / "out", "coco,labels")
    assert [path.relative_to(tmp_path / "out").as_posix() for path in written] == [
        "one.png",
        "sub/zwei ü.png",
        "coco/annotations/instances_default.json",
    ]
    content = json.loads(written[-1].read_text(encoding="utf-8"))
    assert [each["file_name"] for each in content["images"]] == ["one.png", "sub/zwei ü.png"]
    assert [each["name"] for each in content["categories"]] == list(NAMES)
    assert [each["area"] for each in content["annotations"]] == [2, 3, 2, 3]
    np.testing.assert_array_equal(decode_labels(written[0]), LABELS)


def test_images_give_their_names_and_pictures(masks: Path, photos: Path, tmp_path: Path) -> None:
    written = convert_files(masks, tmp_path / "out", ["coco", "yolo"], images=photos)
    content = json.loads(written[-2].read_text(encoding="utf-8"))
    assert [each["file_name"] for each in content["images"]] == ["one.jpg", "sub/zwei ü.jpg"]
    with Image.open(tmp_path / "out/yolo/images/sub/zwei ü.jpg") as picture:
        assert picture.size == (3, 2)


def test_files_of_others_need_names_and_may_count_from_1(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    Image.fromarray(np.array([[0, 1, 2]], np.uint8)).save(tmp_path / "masks/a.png")
    with pytest.raises(InputError, match=r"a\.png holds no class names.*--classes"):
        convert_files(tmp_path / "masks", tmp_path / "out", "labels")
    (path,) = convert_files(
        tmp_path / "masks", tmp_path / "out", "labels", names=NAMES, first_index=1
    )
    assert decode_labels(path).tolist() == [[255, 0, 1]]
    assert Segmentation.load(path).names == NAMES


def test_a_background_is_no_object(masks: Path, tmp_path: Path) -> None:
    (path,) = convert_files(masks, tmp_path / "out", "coco", background="road")
    content = json.loads(path.read_text())
    assert [each["name"] for each in content["categories"]] == ["sky"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": ["road"]}, r"one\.png: Label 1 .* there are 1 names"),
        ({"background": "sea"}, r"background 'sea' is not one of the classes: road, sky"),
        ({"formats": "voc"}, r"stores images next to .*--images"),
        ({"formats": "gif"}, r"Unknown format 'gif'"),
        ({"results": "nowhere"}, r"nowhere is not a folder"),
    ],
)
def test_bad_input_is_told(
    masks: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    given = {"results": masks, "out": tmp_path / "out", "formats": "labels", **changes}
    with pytest.raises(InputError, match=message):
        convert_files(**given)


def test_a_bad_file_does_not_cost_the_others(masks: Path, tmp_path: Path) -> None:
    (masks / "bad.png").write_bytes(b"\x89PNG")
    failed: list[Path] = []
    written = convert_files(
        masks, tmp_path / "out", "labels", on_error=lambda path, _: failed.append(path)
    )
    assert failed == [masks / "bad.png"]
    assert [path.name for path in written] == ["one.png", "zwei ü.png"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no FIFOs")
def test_what_is_no_label_file_is_left_out(
    masks: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (masks / "one.png").rename(masks / "one.PNG")
    for name in ("._one.png", ".old.png"):
        (masks / name).write_bytes(b"hidden")
    os.mkfifo(masks / "fifo.png")
    (masks / "gone.png").symlink_to("nowhere")
    (masks / "folder.png").mkdir()
    written = convert_files(masks, tmp_path / "out", "labels")
    assert [path.name for path in written] == ["one.png", "zwei ü.png"]
    assert "skipped 1 FIFO, 1 broken link, 1 hidden file." in caplog.text


def test_masks_of_0_and_255_are_refused(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    Image.fromarray(np.array([[0, 255]], np.uint8)).save(tmp_path / "masks/a.png")
    with pytest.raises(InputError, match=r"0 and 255.*Write 1"):
        convert_files(tmp_path / "masks", tmp_path / "out", "coco", names=NAMES)


def test_an_image_that_is_missing_or_of_another_size_is_told(
    masks: Path, photos: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (4, 4)).save(photos / "one.jpg")
    with pytest.raises(InputError, match=r"one\.png: The image must be .*\(2, 3, 3\)"):
        convert_files(masks, tmp_path / "out", "yolo", images=photos)
    (photos / "one.jpg").unlink()
    with pytest.raises(InputError, match=r"no image for .*one\.png in .*photos"):
        convert_files(masks, tmp_path / "out", "yolo", images=photos)


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".lhtclip" not in path.parts
    }


def test_a_stopped_conversion_goes_on_and_ends_the_same(
    masks: Path, photos: Path, tmp_path: Path
) -> None:
    formats = [name for name in SINKS if name not in MAPS and name != "parquet"]
    convert_files(masks, tmp_path / "whole", formats, images=photos)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert_files(masks, tmp_path / "out", formats, images=photos, on_progress=stop)
    first = tmp_path / "out/one.png"
    before = first.stat().st_mtime_ns
    convert_files(masks, tmp_path / "out", formats, images=photos)
    assert first.stat().st_mtime_ns == before
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")


def test_what_changed_is_converted_again(masks: Path, photos: Path, tmp_path: Path) -> None:
    convert_files(masks, tmp_path / "out", "coco")
    Segmentation(1 - LABELS.clip(0, 1), np.ones(LABELS.shape, np.float32), NAMES).save(
        masks / "one.png"
    )
    (path,) = convert_files(masks, tmp_path / "out", "coco", images=photos)
    content = json.loads(path.read_text(encoding="utf-8"))
    assert [each["file_name"] for each in content["images"]] == ["one.jpg", "sub/zwei ü.jpg"]
    assert [each["area"] for each in content["annotations"]] == [2, 4, 2, 3]


def test_images_given_later_keep_what_needs_none(masks: Path, photos: Path, tmp_path: Path) -> None:
    for name in ("one", "sub/zwei ü"):  # with the names that label files without images give
        (photos / f"{name}.jpg").rename(photos / f"{name}.png")
    (labels, _) = convert_files(masks, tmp_path / "out", "labels")
    convert_files(masks, tmp_path / "out", "yolo", images=photos)
    assert labels.exists()
    Image.new("RGB", (3, 2), "red").save(photos / "one.png")
    convert_files(masks, tmp_path / "out", "yolo", images=photos)
    assert not labels.exists()  # made again when asked for


def test_other_options_do_not_mix_and_overwrite_replaces(masks: Path, tmp_path: Path) -> None:
    polygons = OutputOptions(shape="polygon")
    convert_files(masks, tmp_path / "out", "coco")
    with pytest.raises(InputError, match=r"shape 'mask', now 'polygon'.*--overwrite"):
        convert_files(masks, tmp_path / "out", "coco", options=polygons)
    (path,) = convert_files(masks, tmp_path / "out", "coco", options=polygons, overwrite=True)
    content = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(content["annotations"][0]["segmentation"], list)
