"""Requests as Label Studio 1.23 and X-AnyLabeling 4.2 send them."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from lhtclip import Segmenter
from lhtclip.datasets.scene_files import bundled_scenes
from tests.server.conftest import Start

SCENE = bundled_scenes()[1]
PNG = SCENE.image.read_bytes()
NAMES = list(SCENE.names)
LABELS = "".join(f'<Label value="{name}"/>' for name in NAMES)
CONFIG = (
    '<View><Image name="img" value="$image"/>'
    f'<BrushLabels name="tag" toName="img">{LABELS}</BrushLabels></View>'
)
PERSONAL, LEGACY = "head.body.signature", "0123abcd"


@pytest.fixture
def label_studio() -> Iterator[tuple[str, list[str]]]:
    """A server with one image, for both kinds of tokens; its access tokens are good once."""
    seen: list[str] = []
    good = {f"Token {LEGACY}"}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            assert (self.path, asked) == ("/api/token/refresh", {"refresh": PERSONAL})
            access = f"access {len(seen)}"
            good.add(f"Bearer {access}")
            self.answer(200, json.dumps({"access": access}).encode())

        def do_GET(self) -> None:
            given = self.headers["authorization"] or ""
            seen.append(given)
            if self.path == "/moved.png":
                self.send_response(302)
                self.send_header("location", "/data/upload/1/a.png")
                self.end_headers()
            elif given in good:
                if given.startswith("Bearer"):
                    good.remove(given)
                self.answer(200, PNG)
            else:
                self.answer(401, b"{}")

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", seen
    server.shutdown()
    server.server_close()


def _tasks(image: str, count: int = 1) -> dict[str, Any]:
    tasks = [{"id": number, "data": {"image": image}} for number in range(count)]
    return {"tasks": tasks, "label_config": CONFIG, "project": "1.2", "params": {}}


@pytest.mark.parametrize("token", [PERSONAL, LEGACY])
def test_label_studio_s_images_are_fetched_with_its_tokens(
    start: Start, label_studio: tuple[str, list[str]], token: str
) -> None:
    url, seen = label_studio
    client = start(label_studio=url, label_studio_token=token)
    answer = client.post("/predict", json=_tasks("/data/upload/1/a.png", count=2))
    assert answer.status_code == 200, answer.text
    results = answer.json()["results"]
    assert len(results) == 2
    assert len(seen) == (3 if token == PERSONAL else 2)  # an access token had expired
    assert {each["type"] for each in results[0]["result"]} == {"brushlabels"}
    assert client.get("/health").status_code == 200
    version = client.post("/setup", json={"project": "1.2"}).json()["model_version"]
    assert results[0]["model_version"] == version


def test_nothing_is_fetched_from_elsewhere(
    start: Start, label_studio: tuple[str, list[str]]
) -> None:
    url, seen = label_studio
    client = start(label_studio=url, label_studio_token="wrong")
    for image, said in (
        ("http://evil.example/a.png", "does not lie on"),
        ("//evil.example/a.png", "does not lie on"),
        ("file:///etc/passwd", "does not lie on"),
        ("/moved.png", "302"),
        ("/a.png", "LABEL_STUDIO_API_KEY"),
    ):
        answer = client.post("/predict", json=_tasks(image))
        assert answer.status_code == 422, image
        assert said in answer.json()["detail"], image
    assert len(seen) == 2
    answer = start().post("/predict", json=_tasks("/a.png"))
    assert "--label-studio" in answer.json()["detail"]


def test_label_studio_s_brushes_cover_the_labels(start: Start, segmenter: Segmenter) -> None:
    image = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    answer = start().post("/predict", json=_tasks(image)).json()
    regions = answer["results"][0]["result"]
    labels = segmenter.segment(SCENE.image, [[name] for name in NAMES])
    found = [each["value"]["brushlabels"][0] for each in regions]
    assert sorted(found) == sorted(name for name, share in labels.coverage().items() if share)
    for each in regions:
        assert (each["from_name"], each["to_name"]) == ("tag", "img")
        size = (each["original_height"], each["original_width"])
        assert size == labels.labels.shape


@pytest.mark.parametrize(
    "config",
    [
        "<View/>",
        "<View",
        "<!DOCTYPE a [<!ENTITY b 'c'>]><View/>",
        CONFIG.replace('toName="img"', ""),
    ],
)
def test_a_configuration_without_brushes_is_refused(start: Start, config: str) -> None:
    asked = _tasks("data:image/png;base64,") | {"label_config": config}
    answer = start().post("/predict", json=asked)
    assert answer.status_code == 422
    assert "onfiguration" in answer.json()["detail"]


def test_x_anylabeling(start: Start, segmenter: Segmenter) -> None:
    """As its `RemoteServer` asks: the models first, then one image with a prompt."""
    client = start(token="secret")
    token = {"Token": "secret"}
    models = client.get("/v1/models", headers=token).json()["data"]
    (model,) = models
    assert models[model]["batch_processing_mode"] == "text_prompt"
    asked = {
        "model": model,
        "image": f"data:image/png;base64,{base64.b64encode(PNG).decode()}",
        "params": {
            "conf_threshold": 0.0,
            "iou_threshold": 0.0,
            "epsilon_factor": 0.001,
            "text_prompt": ". ".join(NAMES),
        },
    }
    data = client.post("/v1/predict", json=asked, headers=token).json()["data"]
    assert "replace" not in data
    labels = segmenter.segment(SCENE.image, NAMES).coverage()
    assert {each["label"] for each in data["shapes"]} <= {n for n, share in labels.items() if share}
    assert {each["shape_type"] for each in data["shapes"]} == {"polygon"}
    asked["params"].pop("text_prompt")
    answer = client.post("/v1/predict", json=asked, headers=token)
    assert answer.status_code == 422
    assert "prompt" in answer.json()["detail"]
