from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lhtclip.datasets import DATASETS
from lhtclip.evaluation.confusion import Confusion
from lhtclip.evaluation.published_protocols import protocol_for
from lhtclip.evaluation.report import average, describe, in_paper_order, markdown, percent, summary
from lhtclip.evaluation.runner import Evaluation, evaluate
from tests.evaluation.runs import NAMES, drawn_dataset, tiny_segmenter, words


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    folder = tmp_path_factory.mktemp("run")
    dataset = drawn_dataset(folder / "in", images=3)
    return evaluate(tiny_segmenter(), dataset, words(dataset), folder=folder, trimap=2)


def document(
    evaluation: Evaluation, name: str = "voc21", mean_iou: float | None = 0.5, **more: Any
) -> dict[str, Any]:
    evaluation = replace(evaluation, dataset=replace(evaluation.dataset, name=name))
    described = describe(
        evaluation,
        tiny_segmenter(),
        protocol_for(name, "sclip"),
        model="tiny",
        published=10,
        deviations={},
    )
    return described | {"mean_iou": mean_iou} | more


def test_a_document_holds_all_that_was_measured_and_set(evaluation: Evaluation) -> None:
    described = describe(
        evaluation,
        tiny_segmenter(),
        protocol_for("voc21", "lht"),
        model="tiny",
        published=None,
        deviations={"stride": {"protocol": 112, "used": 16}},
    )
    described = json.loads(json.dumps(described, allow_nan=False))
    assert described["mean_iou"] == evaluation.confusion.mean_iou
    assert described["pixel_accuracy"] == evaluation.confusion.pixel_accuracy
    assert evaluation.trimap
    assert described["trimap_mean_iou"] == evaluation.trimap.mean_iou
    assert [entry["name"] for entry in described["classes"]] == list(NAMES)
    assert described["classes"][1]["iou"] == evaluation.confusion.iou["grass"]
    assert described["classes"][1]["trimap_iou"] == evaluation.trimap.iou["grass"]
    assert described["images"] == 3
    assert described["images_per_second"] == 3 / described["seconds"]
    assert described["protocol"] == json.loads(json.dumps(protocol_for("voc21", "lht").describe()))
    assert described["deviations"] == {"stride": {"protocol": 112, "used": 16}}
    assert described["settings"]["trimap"] == 2
    assert described["method"]["name"] == "sclip"
    assert (described["method"]["residual"], described["method"]["mlp"]) == (True, True)
    assert set(described["versions"]) == {"lhtclip", "python", "torch", "numpy", "pillow"}
    assert described["hardware"]["gpu"] is None
    assert described["hardware"]["cpu"]
    assert described["hardware"]["threads"] >= 1


def test_what_cannot_be_measured_is_null(evaluation: Evaluation) -> None:
    empty = Confusion(NAMES)
    empty.matrix[0, 0] = 4
    described = document(replace(evaluation, confusion=empty, trimap=None))
    assert described["trimap_mean_iou"] is None
    assert [entry["iou"] for entry in described["classes"]] == [1, None, None, None, None]
    assert all(entry["trimap_iou"] is None for entry in described["classes"])
    nothing = replace(evaluation, confusion=Confusion(NAMES))
    assert document(nothing)["pixel_accuracy"] is None
    assert percent(None) == "-"


def test_data_sets_stand_in_the_order_of_the_papers(evaluation: Evaluation) -> None:
    given = ["mine", "coco_stuff171", "scenes", "voc21", "ade20k"]
    documents = [document(evaluation, name) for name in given]
    order = [each["dataset"] for each in in_paper_order(documents)]
    assert order == ["voc21", "ade20k", "coco_stuff171", "mine", "scenes"]


def test_there_is_an_average_of_all_eight_only(evaluation: Evaluation) -> None:
    values = np.linspace(0.1, 0.8, 8)
    documents = [
        document(evaluation, name, float(value))
        for name, value in zip(reversed(DATASETS), values, strict=True)
    ]
    assert average(documents[1:]) is None
    assert average([*documents[1:], document(evaluation, documents[0]["dataset"], None)]) is None
    assert average(documents) == pytest.approx(values.mean())
    assert average([*documents, document(evaluation, "scenes", 1.0)]) == average(documents)
    header, rows = summary(documents)
    assert header[:2] == ("data set", "mIoU %")
    assert [row[0] for row in rows] == [*DATASETS, "average"]
    assert rows[0][1] == "80.00"
    assert rows[-1][1] == "45.00"
    assert {len(row) for row in rows} == {len(header)}
    assert "average" not in [row[0] for row in summary(documents[1:])[1]]


def test_the_page(evaluation: Evaluation) -> None:
    change = {"logit_scale": {"protocol": 65.0, "used": 40.0}}
    documents = [
        document(evaluation, "ade20k", 0.165),
        document(evaluation, "voc21", 0.597, deviations=change),
    ]
    page = markdown(documents)
    lines = page.splitlines()
    assert "|  | voc21 | ade20k |" in lines
    assert "| mIoU % | 59.70 | 16.50 |" in lines
    assert "| images | 3 of 10 | 3 of 10 |" in lines
    assert "| short side | 32 | 32 |" in lines
    assert "| words | voc21 | ade20k |" in lines
    assert "average" not in page
    assert "- voc21: logit scale 40.0 instead of 65.0" in lines
    iou = percent(evaluation.confusion.iou["road"])
    assert sum(line.startswith(f"| road | {iou} |") for line in lines) == 2
    widths = {line.count("|") for line in page.split("## Results")[1].splitlines() if "|" in line}
    assert widths == {4}


def test_names_cannot_break_a_table(evaluation: Evaluation) -> None:
    confusion = Confusion(("cat|kitten", *NAMES[1:]))
    page = markdown([document(replace(evaluation, confusion=confusion))])
    assert "| cat/kitten | - | - |" in page


def test_the_page_of_all_eight_has_the_average(evaluation: Evaluation) -> None:
    page = markdown([document(evaluation, name, 0.25) for name in DATASETS])
    header, _, first = page.split("## Results")[1].strip().splitlines()[:3]
    assert header == "|  | " + " | ".join(DATASETS) + " | average |"
    assert first == "| mIoU % | " + " | ".join(["25.00"] * 9) + " |"
