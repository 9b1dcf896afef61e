"""The REST service answers what the library does."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from lhtclip import (
    AliasSettings,
    DecodeSettings,
    PamrSettings,
    PtcSettings,
    Segmenter,
    Vocabulary,
    WindowSettings,
    with_aliases,
)
from tests.server.scene import CLASSES, PNG, SCENE, WORDS, labels_of, uploaded


def test_labels_are_those_of_the_library(client: TestClient, segmenter: Segmenter) -> None:
    expected = segmenter.segment(SCENE.image, WORDS)
    identifier = uploaded(client)
    answer = client.post(f"/v1/images/{identifier}/segment", json={"classes": WORDS}).json()
    np.testing.assert_array_equal(labels_of(answer), expected.labels)
    assert [each["name"] for each in answer["classes"]] == list(expected.names)
    assert sum(each["share"] for each in answer["classes"]) == pytest.approx(1)
    png = client.post(f"/v1/images/{identifier}/labels.png", json={"classes": WORDS})
    np.testing.assert_array_equal(np.array(Image.open(io.BytesIO(png.content))), expected.labels)


@pytest.mark.parametrize("form", ["raw", "multipart", "json"])
def test_one_call_takes_an_image_in_any_form(
    client: TestClient, segmenter: Segmenter, form: str
) -> None:
    data, query = SCENE.image.read_bytes(), {"classes": WORDS, "lht": "false", "method": "clip"}
    given: dict[str, Any] = {
        "raw": {"content": data, "headers": {"content-type": "image/png"}},
        "multipart": {"files": {"file": ("x.png", data, "image/png")}},
        "json": {"json": {"image": base64.b64encode(data).decode()}},
    }[form]
    answer = client.post("/v1/segment", params=query, **given)
    assert answer.status_code == 200, answer.text
    expected = segmenter.replace(method="clip", lht=False).segment(SCENE.image, WORDS)
    np.testing.assert_array_equal(labels_of(answer.json()), expected.labels)


def test_methods_and_techniques_can_be_changed_for_a_kept_image(client: TestClient) -> None:
    identifier = uploaded(client)
    found = {
        (method, lht): labels_of(
            client.post(
                f"/v1/images/{identifier}/segment",
                json={"classes": WORDS, "method": method, "lht": lht},
            ).json()
        ).tobytes()
        for method, lht in (("sclip", True), ("sclip", False), ("clip", False))
    }
    assert len(set(found.values())) == 3


def test_polygons_and_run_lengths_cover_the_labels(client: TestClient) -> None:
    identifier = uploaded(client)
    asked = {"classes": WORDS, "include": ["labels", "polygons", "rle", "overlay"]}
    answer = client.post(f"/v1/images/{identifier}/segment", json=asked).json()
    pixels = answer["width"] * answer["height"]
    assert sum(each["area"] for each in answer["polygons"]) == pixels
    assert sum(each["area"] for each in answer["rle"]) == pixels
    assert base64.b64decode(answer["overlay"])[:2] == b"\xff\xd8"


def test_a_probe_agrees_with_the_labels(client: TestClient) -> None:
    identifier = uploaded(client)
    labels = labels_of(
        client.post(f"/v1/images/{identifier}/segment", json={"classes": WORDS}).json()
    )
    for x, y in ((10, 10), (200, 150), (labels.shape[1] - 1, labels.shape[0] - 1)):
        asked = {"x": x, "y": y, "classes": WORDS, "k": 2}
        best = client.post(f"/v1/images/{identifier}/probe", json=asked).json()["classes"]
        assert best[0]["name"] == CLASSES[labels[y, x]].split("|")[0]
        assert 1 >= best[0]["probability"] >= best[1]["probability"] >= 0


def test_views_have_a_value_a_patch(client: TestClient) -> None:
    identifier = uploaded(client)
    asked = {"kind": "similarity", "x": 5, "y": 5}
    view = client.post(f"/v1/images/{identifier}/view", json=asked).json()
    assert view["values"][0][0] == 1.0 == view["highest"] or view["highest"] == pytest.approx(1)
    assert len(view["values"]) == view["rows"]
    assert client.post(f"/v1/images/{identifier}/view", json={"kind": "hoyer"}).status_code == 200


def test_a_forgotten_image_is_gone(client: TestClient) -> None:
    identifier = uploaded(client)
    assert client.delete(f"/v1/images/{identifier}").status_code == 204
    answer = client.post(f"/v1/images/{identifier}/segment", json={"classes": WORDS})
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert "Upload it again" in answer.json()["detail"]


def test_openapi_names_every_operation_once(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    operations = [
        each["operationId"] for path in document["paths"].values() for each in path.values()
    ]
    assert len(operations) == len(set(operations)) > 15
    for path in document["paths"].values():
        for operation in path.values():
            refusals = {s: r for s, r in operation["responses"].items() if s >= "400"}
            assert {"400", "404", "422", "503"} <= refusals.keys()
            assert all([*r["content"]] == ["application/problem+json"] for r in refusals.values())


def test_metrics_count_requests_and_batches(client: TestClient) -> None:
    uploaded(client)
    text = client.get("/metrics").text
    assert 'lhtclip_requests_total{route="/v1/images",status="201"} 1.0' in text
    assert "lhtclip_batch_images_count 1.0" in text
    assert "lhtclip_cache_images 1.0" in text


GAINS = {
    "refine": "pamr",
    "prior": 0.2,
    "flip": True,
    "short_side": [64, 96],
    "calibrate_texts": True,
    "aliases": "common",
}


def test_gains_are_those_of_the_library(client: TestClient, segmenter: Segmenter) -> None:
    wanted = segmenter.replace(
        windows=WindowSettings((64, 96), flip=True),
        decoding=DecodeSettings(
            pamr=PamrSettings(), prior=0.2, aliases=AliasSettings(), ptc=PtcSettings()
        ),
    )
    vocabulary = with_aliases(Vocabulary.of(WORDS, background="wall"), "common")
    expected = wanted.segment(SCENE.image, vocabulary)
    identifier = uploaded(client)
    asked = {"classes": WORDS, "background": "wall", "gains": GAINS}
    answer = client.post(f"/v1/images/{identifier}/segment", json=asked).json()
    np.testing.assert_array_equal(labels_of(answer), expected.labels)
    best = client.post(f"/v1/images/{identifier}/probe", json={**asked, "x": 9, "y": 9}).json()
    found = wanted.encode(SCENE.image).probe(9, 9, vocabulary)
    assert [each["name"] for each in best["classes"]] == [name for name, _ in found]
    query = {"classes": WORDS, "background": "wall", **GAINS, "short_side": "64,96"}
    once = client.post("/v1/segment", params=query, content=SCENE.image.read_bytes(), headers=PNG)
    assert once.status_code == 200, once.text
    np.testing.assert_array_equal(labels_of(once.json()), expected.labels)


def test_gains_of_labels_do_not_encode_again(client: TestClient) -> None:
    identifier = uploaded(client)
    own = client.get("/v1/methods").json()
    assert own["gains"]["refine"] == "none"
    lht = {"ssr": True, "atr": True, "she": True}
    for changed in ({}, {"prior": 0.0}, {"refine": "pamr"}):
        gains = own["gains"] | changed
        asked = {"classes": WORDS, "method": own["default"], "lht": lht, "gains": gains}
        answer = client.post(f"/v1/images/{identifier}/segment", json=asked)
        assert answer.status_code == 200, answer.text
    assert "lhtclip_batch_images_count 1.0" in client.get("/metrics").text


@pytest.mark.parametrize(
    "gains",
    [{"shifts": 9}, {"prior": 1}, {"short_side": []}, {"short_side": [9]}, {"refine": "crf"}],
)
def test_senseless_gains_are_refused(client: TestClient, gains: dict[str, Any]) -> None:
    identifier = uploaded(client)
    asked = {"classes": WORDS, "gains": gains}
    answer = client.post(f"/v1/images/{identifier}/segment", json=asked)
    assert answer.status_code == 422
    assert f"gains.{next(iter(gains))}" in answer.json()["detail"]
    query = {"classes": WORDS} | {name: str(value) for name, value in gains.items()}
    once = client.post("/v1/segment", params=query, content=SCENE.image.read_bytes(), headers=PNG)
    assert once.status_code == 422
