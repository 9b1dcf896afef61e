"""The function for CVAT's serverless platform, called as Nuclio calls it."""

from __future__ import annotations

import base64
import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

from lhtclip import Segmenter
from lhtclip.errors import InputError
from lhtclip.text.vocabulary import Vocabulary
from tests.server.scene import CLASSES, SCENE

FOLDER = Path(__file__).parents[2] / "deploy" / "cvat-nuclio"


@dataclass
class Response:
    """Nuclio's answer, with the arguments that CVAT's own functions pass."""

    body: str
    headers: dict[str, str]
    content_type: str
    status_code: int


@pytest.fixture
def function(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import `main.py` as Nuclio does, and let it load the bundled model."""
    monkeypatch.setenv("LHTCLIP_MODEL", "bundled")
    monkeypatch.setenv("LHTCLIP_CLASSES", ", ".join(CLASSES))
    monkeypatch.setenv("LHTCLIP_LEAST_AREA", "0")
    description = importlib.util.spec_from_file_location("main", FOLDER / "main.py")
    assert description is not None
    assert description.loader is not None
    main = importlib.util.module_from_spec(description)
    description.loader.exec_module(main)
    context = SimpleNamespace(user_data=SimpleNamespace(), Response=Response)
    main.init_context(context)

    def call(**body: Any) -> list[dict[str, Any]]:
        response = main.handler(context, SimpleNamespace(body=body))
        assert (response.status_code, response.content_type) == (200, "application/json")
        return json.loads(response.body)

    return call


def test_masks_are_those_of_the_library(function: Any) -> None:
    data = SCENE.image.read_bytes()
    shapes = function(image=base64.b64encode(data).decode())
    result = Segmenter.from_pretrained("bundled").segment(data, CLASSES)
    found = np.full(result.labels.shape, 255, dtype=np.uint8)
    for shape in shapes:
        *bits, left, top, right, bottom = shape["mask"]
        mask = np.array(bits, dtype=bool).reshape(bottom - top + 1, right - left + 1)
        place = found[top : bottom + 1, left : right + 1]
        assert (place[mask] == 255).all()
        place[mask] = result.names.index(shape["label"])
        assert len(shape["points"]) % 2 == 0 < len(shape["points"])
        assert shape["type"] == "mask"
    np.testing.assert_array_equal(found, result.labels)
    least = sorted(float(shape["confidence"]) for shape in shapes)[len(shapes) // 2]
    fewer = function(image=base64.b64encode(data).decode(), threshold=least)
    assert 0 < len(fewer) < len(shapes)
    with pytest.raises(InputError, match="image"):
        function(image=base64.b64encode(b"nothing").decode())


def test_the_labels_that_cvat_offers_are_the_classes() -> None:
    content = yaml.safe_load((FOLDER / "function.yaml").read_text(encoding="utf-8"))
    labels = json.loads(content["metadata"]["annotations"]["spec"])
    environment = {each["name"]: each["value"] for each in content["spec"]["env"]}
    vocabulary = Vocabulary.of(environment["LHTCLIP_CLASSES"])
    assert [label["name"] for label in labels] == list(vocabulary.names)
    assert {label["type"] for label in labels} == {"mask"}
    assert content["spec"]["handler"] == "main:handler"
