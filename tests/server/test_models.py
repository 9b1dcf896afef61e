"""A server with two models: each request names one, or means the first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from starlette.testclient import TestClient

from lhtclip import Segmenter
from lhtclip.encoder import DenseEncoder
from lhtclip.errors import InputError
from lhtclip.server.app import create_app
from tests.server.scene import SCENE, WORDS, labels_of, uploaded


@pytest.fixture(scope="module")
def second(segmenter: Segmenter) -> Segmenter:
    """The same weights under another name and with another method, so that one can tell."""
    checkpoint = replace(segmenter.checkpoint, name="second")
    return Segmenter(checkpoint, DenseEncoder(checkpoint.model, method="clip"), segmenter.texts)


@pytest.fixture
def client(segmenter: Segmenter, second: Segmenter) -> Iterator[TestClient]:
    application = create_app(segmenter, also=[second])
    yield TestClient(application, base_url="http://localhost", raise_server_exceptions=False)
    application.service.close()


def test_a_request_gets_the_labels_of_the_model_that_it_names(
    client: TestClient, segmenter: Segmenter, second: Segmenter
) -> None:
    identifier = uploaded(client)
    for name, each in (("bundled", segmenter), ("second", second), (None, segmenter)):
        wanted = each.segment(SCENE.image, WORDS).labels
        asked = {"classes": WORDS, "model": name}
        kept = client.post(f"/v1/images/{identifier}/segment", json=asked).json()
        np.testing.assert_array_equal(labels_of(kept), wanted)
        once = client.post(
            "/v1/segment",
            params={"classes": WORDS} | ({"model": name} if name else {}),
            content=SCENE.image.read_bytes(),
            headers={"content-type": "image/png"},
        ).json()
        np.testing.assert_array_equal(labels_of(once), wanted)


def test_the_models_are_listed_and_others_refused(client: TestClient) -> None:
    listed = client.get("/v1/models").json()
    assert [each["name"] for each in listed["models"]] == ["bundled", "second"]
    assert list(listed["data"]) == ["bundled", "second"]
    asked = {"classes": "dog", "model": "third"}
    refused = client.post(f"/v1/images/{uploaded(client)}/segment", json=asked)
    assert refused.status_code == 422
    assert "'third'" in refused.json()["detail"]
    assert "second" in refused.json()["detail"]


def test_one_name_twice_is_refused(segmenter: Segmenter) -> None:
    with pytest.raises(InputError, match="'bundled'"):
        create_app(segmenter, also=[segmenter.replace(method="clip")])
