"""A scene with its classes, and how a test uploads it and reads the answer."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from PIL import Image
from starlette.testclient import TestClient

from lhtclip.datasets.scene_files import bundled_scenes

SCENE = bundled_scenes()[1]
CLASSES = ["|".join(names) for names in SCENE.classes]
WORDS = ", ".join(CLASSES)
PNG = {"content-type": "image/png"}


def labels_of(answer: dict[str, Any]) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(base64.b64decode(answer["labels"]))))


def uploaded(client: TestClient) -> str:
    answer = client.post(
        "/v1/images", content=SCENE.image.read_bytes(), headers={"content-type": "image/png"}
    )
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]
