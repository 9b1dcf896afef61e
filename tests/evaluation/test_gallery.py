from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lhtclip.evaluation.gallery import worst_samples, write_gallery
from lhtclip.evaluation.runner import Evaluation, evaluate
from tests.evaluation.runs import drawn_dataset, painted, words


@pytest.fixture
def evaluation(tmp_path: Path) -> Evaluation:
    dataset = drawn_dataset(tmp_path / "in", images=6, candidates=3)
    evaluation = evaluate(painted(), dataset, words(dataset))
    scores = dict(zip(evaluation.image_iou, [0.5, 0.2, math.nan, 0.9, 0.1, 0.2], strict=True))
    return replace(evaluation, image_iou=scores)


def test_the_worst_come_first(evaluation: Evaluation) -> None:
    worst = [sample.key[-1] for sample in worst_samples(evaluation, 4)]
    assert worst == ["4", "1", "5", "0"]
    assert len(worst_samples(evaluation, 9)) == 5  # where nothing counts nothing is bad
    assert worst_samples(evaluation, 0) == ()


def test_three_panels_and_a_legend(evaluation: Evaluation, tmp_path: Path) -> None:
    vocabulary = words(evaluation.dataset)
    write_gallery(painted(), vocabulary, evaluation, tmp_path, count=3)
    paths = write_gallery(painted(), vocabulary, evaluation, tmp_path, count=2, workers=1)
    assert paths == [
        tmp_path / "drawn.worst/01-picture-04.png",
        tmp_path / "drawn.worst/02-picture-01.png",
    ]
    assert sorted((tmp_path / "drawn.worst").iterdir()) == paths
    with Image.open(paths[0]) as sheet, Image.open(tmp_path / "in/picture-04.png") as picture:
        levels = np.asarray(sheet.convert("RGB"))
        width = round(picture.width * 320 / picture.height)
        assert sheet.width == 3 * width + 2 * 12
        assert sheet.height > 320 + 2 * 20
    panels = [levels[50:350, left : left + width] for left in (0, width + 12, 2 * width + 24)]
    assert all(panel.std() > 10 for panel in panels)
    assert not np.array_equal(panels[1], panels[2])


def test_no_gallery_is_no_work(evaluation: Evaluation, tmp_path: Path) -> None:
    segmenter = painted()
    assert write_gallery(segmenter, words(evaluation.dataset), evaluation, tmp_path, count=0) == []
    assert not (tmp_path / "drawn.worst").exists()
