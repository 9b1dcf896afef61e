"""A run in every format that is stopped and goes on writes what one that was not does."""

from __future__ import annotations

from importlib import resources
from importlib.util import find_spec
from pathlib import Path

import pytest

from lhtclip.batch.label_files import label_files
from lhtclip.formats import SINKS
from lhtclip.segmenter import Segmenter

FORMATS = [name for name in SINKS if name != "parquet" or find_spec("pyarrow")]
WORDS = {"classes": ["dog", "pizza", "grass"], "background": ["sky"], "formats": FORMATS}


class StoppedError(Exception):
    pass


def stop(_: object) -> None:
    raise StoppedError


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".lhtclip" not in path.parts
    }


def test_stopped_and_resumed_is_byte_for_byte_the_same(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for number, name in enumerate(["a.png", "b/ünö 1.png", "b/c.png"], start=1):
        scene = resources.files("lhtclip") / f"data/scenes/scene-0{number}.png"
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        (photos / name).write_bytes(scene.read_bytes())
    segmenter = Segmenter.from_pretrained("bundled")
    label_files(photos, out=tmp_path / "whole", segmenter=segmenter, **WORDS)
    with pytest.raises(StoppedError):
        label_files(photos, out=tmp_path / "parts", segmenter=segmenter, on_image=stop, **WORDS)
    assert not (tmp_path / "parts/coco").exists()
    summary = label_files(photos, out=tmp_path / "parts", segmenter=segmenter, **WORDS)
    assert any(image.skipped for image in summary.images)
    whole = files_of(tmp_path / "whole")
    assert files_of(tmp_path / "parts") == whole
    again = label_files(photos, out=tmp_path / "whole", segmenter=segmenter, **WORDS)
    assert all(image.skipped for image in again.images)
    assert files_of(tmp_path / "whole") == whole
