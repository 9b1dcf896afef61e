from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lhtclip.datasets import SPECS
from lhtclip.datasets.scene_files import bundled_scenes
from tests.datasets import trees


def test_list_has_every_reader(lhtclip: Any) -> None:
    rows = lhtclip("datasets", "list").out.splitlines()
    assert rows[0].split() == ["name", "classes", "images", "files"]
    assert [row.split()[0] for row in rows[1:] if not row.startswith(" ")] == list(SPECS)
    assert any(row.split()[:3] == ["ade20k", "150", "2000"] for row in rows)
    entries = {entry["name"]: entry for entry in lhtclip("datasets", "list", "--json").json}
    assert list(entries) == list(SPECS)
    assert entries["cityscapes"]["classes"] == 19
    assert len(entries["coco_object"]["layouts"]) == 3
    assert entries["folder"]["images"] is None


def test_bare_call_shows_the_help(lhtclip: Any) -> None:
    outcome = lhtclip("datasets")
    assert outcome.code == 0
    assert "check" in outcome.out
    assert "list" in outcome.out


def test_the_scenes_in_the_package_are_sound(lhtclip: Any, tmp_path: Path) -> None:
    outcome = lhtclip("datasets", "check", "scenes")
    assert outcome.code == 0, outcome.err
    count = len(bundled_scenes())
    assert outcome.err.splitlines()[-1] == (
        f"lhtclip: scenes: {count} label maps of {count} read, usable."
    )
    *table, first, second, third = outcome.out.splitlines()
    assert table[0].split() == ["label", "class", "pixels", "maps"]
    assert table[-1].split()[:2] == ["-", "(ignored)"]
    shares = [float(row.rsplit("%")[0].split()[-1]) for row in table[1:]]
    assert sum(shares) == pytest.approx(100, abs=0.01 * len(shares))
    for path in (first, second, third):
        with Image.open(tmp_path / path) as overlay:
            assert overlay.size > (50, 50)
    assert Path(first) == Path("dataset-check/scenes.scene-05.overlay.png")


def test_a_folder_of_ones_own(lhtclip: Any, tmp_path: Path) -> None:
    trees.own_folder(tmp_path / "bay")
    outcome = lhtclip("datasets", "check", "folder", "--root", "bay", "--out", "o", "--json")
    assert outcome.code == 0, outcome.err
    report = outcome.json
    assert report["dataset"] == "bay"
    assert report["broken"] is False
    assert [entry["name"] for entry in report["classes"]] == ["background", "boat", "water"]
    assert report["overlays"] == [
        str(Path(f"o/bay.{name}.overlay.png")) for name in ("harbour", "street")
    ]


def test_overlays_show_the_picture_where_it_is_ignored(lhtclip: Any, tmp_path: Path) -> None:
    labels = np.zeros((40, 60), np.uint8)
    labels[:, 30:] = 255
    labels[:, :10] = 1
    trees.own_folder(tmp_path / "bay", {"a": labels}, classes=("boat", "water"))
    plain = np.full((40, 60, 3), (200, 40, 90), np.uint8)
    (tmp_path / "bay/images/a.jpg").unlink()
    Image.fromarray(plain).save(tmp_path / "bay/images/a.png")
    lhtclip("datasets", "check", "folder", "--root", "bay")
    with Image.open(tmp_path / "dataset-check/bay.a.overlay.png") as picture:
        left = (picture.width - 60) // 2
        overlay = np.array(picture)[:40, left : left + 60]
    np.testing.assert_array_equal(overlay[:, 33:], plain[:, 33:])
    assert (overlay[20, 5] != plain[20, 5]).any()
    assert (overlay[20, 5] != overlay[20, 20]).any()


def test_broken_sets_end_with_one_line_about_all(lhtclip: Any, tmp_path: Path) -> None:
    maps = {f"ADE_val_{number:08d}": [[0, 1, 200 + number % 3]] for number in range(8)}
    maps["ADE_val_00000099"] = [[0, 1, 2]]
    trees.ade_tree(tmp_path, maps)
    outcome = lhtclip("datasets", "check", "ade20k", "--root", ".", "--quiet")
    assert outcome.code == 2
    *findings, summary = outcome.err.splitlines()
    assert summary.startswith("lhtclip: ade20k is broken, do not measure anything on it: ")
    assert "count of images, unreadable file (8 times)" in summary
    assert findings[0].startswith("lhtclip: broken: ade20k has 9 images here")
    unreadable = [line for line in findings if "ids that cannot occur" in line]
    assert len(unreadable) == 5
    assert "ADE_val_00000000.png" in unreadable[0]
    assert "200" in unreadable[0]
    assert "lhtclip: and 3 more of this kind (unreadable file)" in outcome.err
    *_, path = outcome.out.splitlines()  # what can be shown is shown nevertheless
    assert Path(path).name == "ade20k.ADE_val_00000099.overlay.png"
    assert (tmp_path / path).is_file()
    report = lhtclip("datasets", "check", "ade20k", "--root", ".", "--json")
    assert report.code == 2
    assert report.json["broken"] is True
    assert sum(f["kind"] == "unreadable file" for f in report.json["findings"]) == 8


def test_a_picture_that_is_cut_off(lhtclip: Any, tmp_path: Path) -> None:
    trees.own_folder(tmp_path, {"a": np.zeros((200, 200), np.uint8)}, classes=("boat",))
    path = tmp_path / "images/a.jpg"
    path.write_bytes(path.read_bytes()[:3000])  # its header is whole
    outcome = lhtclip("datasets", "check", "folder", "--root", ".")
    assert outcome.code == 2
    assert "a.jpg is damaged or incomplete" in outcome.err
    assert "unreadable file" in outcome.err.splitlines()[-1]
    assert not (tmp_path / "dataset-check").exists()


def test_fewer_maps(lhtclip: Any, tmp_path: Path) -> None:
    maps = {f"p{number:03d}": [[0, 1, number % 3]] for number in range(150)}
    trees.own_folder(tmp_path, maps)
    check = ("datasets", "check", "folder", "--root", ".", "--json")
    assert lhtclip(*check).json["maps"] == 150
    assert lhtclip(*check, "--maps", 4).json["maps"] == 4
    outcome = lhtclip(*check, "--quick")
    assert outcome.json["maps"] == 100
    assert outcome.json["images"] == 150
    assert "100 label maps of 150 read" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("voc12", "--root", "."), "Unknown data set 'voc12'"),
        (("voc21",), "root"),
        (("voc21", "--root", "nowhere"), "nowhere"),
        (("voc21", "--root", "."), "SegmentationClass"),
        (("scenes", "--quick", "--maps", 3), "not both"),
        (("scenes", "--maps", 0), "--maps"),
        (("scenes", "--out", "file"), "file"),
    ],
)
def test_what_cannot_be_checked(
    lhtclip: Any, tmp_path: Path, arguments: tuple[object, ...], part: str
) -> None:
    (tmp_path / "file").touch()
    outcome = lhtclip("datasets", "check", *arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert len(outcome.err.splitlines()) == 1
    assert part in outcome.err
