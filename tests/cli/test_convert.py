"""`lhtclip convert`: prints what it writes, and refuses in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lhtclip.cli import main
from lhtclip.output.png import decode_labels


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    (tmp_path / "masks").mkdir()
    Image.fromarray(np.array([[0, 1, 2]], np.uint8)).save(tmp_path / "masks/a.png")
    return tmp_path / "masks"


def test_paths_are_printed_and_options_followed(
    masks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    given = ["convert", str(masks), "--classes", "road, sky", "--labels-from", "1"]
    options = ["--to", "labels,coco", "--out", str(out), "--mode", "L", "--first-index", "1"]
    assert main([*given, *options]) == 0
    printed = capsys.readouterr().out.split()
    assert printed == [str(out / "a.png"), str(out / "coco/annotations/instances_default.json")]
    assert decode_labels(out / "a.png").tolist() == [[0, 1, 2]]
    with Image.open(out / "a.png") as picture:
        assert picture.mode == "L"


def test_files_that_fail_are_listed(
    masks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (masks / "bad.png").write_bytes(b"")
    given = ["convert", str(masks), "--classes", "a, b, c", "--to", "labels"]
    assert main([*given, "--out", str(tmp_path / "out")]) == 1
    captured = capsys.readouterr()
    assert captured.out == f"{tmp_path / 'out/a.png'}\n"
    assert "1 label files" in captured.err
    assert "bad.png is empty" in captured.err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "--classes"),
        (["--classes", "road"], "Label 2"),
        (["--classes", "a, b, c", "--classes-file", "x.txt"], "not both"),
        (["--classes", "a, b, c", "--tolerance", "-1"], "got -1"),
    ],
)
def test_bad_input_is_one_line(
    masks: Path,
    tmp_path: Path,
    options: list[str],
    told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    assert main(["convert", str(masks), "--to", "coco", "--out", str(out), *options]) == 2
    captured = capsys.readouterr()
    assert told in captured.err
    assert (captured.out, captured.err.count("\n"), out.exists()) == ("", 1, False)
