"""A server on the bundled model, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from lhtclip import Segmenter
from lhtclip.server.app import create_app
from lhtclip.server.settings import ServerSettings

Start = Callable[..., TestClient]


@pytest.fixture(scope="session")
def segmenter() -> Segmenter:
    return Segmenter.from_pretrained("bundled", device="cpu", dtype="float32", text_cache=False)


@pytest.fixture
def start(segmenter: Segmenter) -> Iterator[Start]:
    """Return a function that starts a server with settings of the test's own."""
    services: list[Any] = []

    def make(**settings: Any) -> TestClient:
        application = create_app(segmenter, ServerSettings(**settings))
        services.append(application.service)
        return TestClient(application, base_url="http://localhost", raise_server_exceptions=False)

    yield make
    for service in services:
        service.close()


@pytest.fixture
def client(start: Start) -> TestClient:
    return start()
