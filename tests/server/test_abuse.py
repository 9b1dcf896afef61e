"""A real server on a real socket, and clients that mean no good: no 500, no hang, no traceback."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
import uvicorn

from lhtclip import Segmenter
from lhtclip.datasets.scene_files import bundled_scenes
from lhtclip.server.app import create_app
from lhtclip.server.connections import Connection
from lhtclip.server.run import configure
from lhtclip.server.settings import ServerSettings

PNG = bundled_scenes()[0].image.read_bytes()
IMAGE = {"content-type": "image/png"}


@pytest.fixture(scope="module")
def port(segmenter: Segmenter) -> Iterator[int]:
    """Start a server with short patience in a thread."""
    patience, Connection.header_seconds = Connection.header_seconds, 0.5
    settings = ServerSettings(port=0, body_timeout=0.5, cache_bytes=4 << 20)
    application = create_app(segmenter, settings)
    server = uvicorn.Server(configure(application, settings))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()
    application.service.close()
    Connection.header_seconds = patience


def said(port: int, *parts: bytes, pause: float = 0.0) -> bytes:
    """Send parts with pauses; return all that the server says until it closes or is silent."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as own:
        answer = b""
        try:
            for part in parts:
                own.sendall(part)
                time.sleep(pause)
            own.settimeout(2)
            while data := own.recv(65536):
                answer += data
        except (ConnectionError, TimeoutError):
            pass
        return answer


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


HEAD = b"POST /v1/images HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"


def test_a_body_that_never_ends_is_given_up(port: int) -> None:
    answer = said(port, HEAD + b"Content-Length: 5000\r\n\r\n" + PNG[:100])
    assert status(answer) == 408
    assert b"connection: close" in answer.lower()
    slow = [b"1\r\nx\r\n"] * 3
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    assert status(said(port, head, *slow, pause=0.1)) == 408


def test_headers_that_never_end_are_given_up(port: int) -> None:
    started = time.monotonic()
    assert said(port, b"GET / HTTP/1.1\r\nHost: local") == b""
    assert said(port) == b""
    again = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answer = said(port, again, b"GET /healthz HTTP/1.1\r\nHo", pause=0.3)
    assert answer.count(b"HTTP/1.1 200") == 1
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        HEAD + b"Content-Length: -5\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        b"BREW /v1/images HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused(port: int, request_: bytes) -> None:
    answer = said(port, request_)
    assert 400 <= status(answer) < 500
    assert b"Traceback" not in answer


@pytest.mark.parametrize(
    "path",
    [
        *("/page/../../app.py", "/page/%2e%2e%2fapp.py", "/page/..%5capp.py", "//etc/passwd"),
        *("/page/%00", "/page/" + "../" * 30 + "etc/passwd", "/v1/examples/..%2f..%2fmodel"),
        *("/v1/images/%2e%2e/segment", "/%ff%fe", "/page/%c0%ae%c0%ae/app.py", "/page/con"),
    ],
)
def test_paths_lead_nowhere(port: int, path: str) -> None:
    raw = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    answer = said(port, raw)
    assert status(answer) in (404, 405)
    assert b"Traceback" not in answer


def test_damaged_images_are_refused_or_read(port: int) -> None:
    """Cut, overwritten and repeated at random places; what is still an image may be labelled."""
    draw = random.Random(0)
    with httpx.Client(base_url=f"http://localhost:{port}", timeout=60) as client:
        for number in range(40):
            data = bytearray(PNG)
            start = draw.randrange(len(data))
            if number % 4 == 0:
                del data[start:]
            elif number % 4 == 1:
                data[start : start + 40] = draw.randbytes(40)
            elif number % 4 == 2:
                data[start:start] = data[: draw.randrange(2000)]
            else:
                data[16:24] = draw.randbytes(8)  # width and height
            answer = client.post("/v1/images", content=bytes(data), headers=IMAGE)
            assert answer.status_code in (201, 422), answer.text
            assert "Traceback" not in answer.text
        for kind in ("image/svg+xml", "text/html", "", "multipart/form-data", "a/b; c=\x7f"):
            answer = client.post("/v1/images", content=b"<svg/>", headers={"content-type": kind})
            assert answer.status_code in (400, 415, 422), answer.text


def test_10_000_words_are_refused_at_once(port: int) -> None:
    with httpx.Client(base_url=f"http://localhost:{port}", timeout=60) as client:
        identifier = client.post("/v1/images", content=PNG, headers=IMAGE).json()["id"]
        started = time.monotonic()
        for classes in ([f"word {i}" for i in range(10_000)], "a," * 10_000, "a|" * 50_000):
            answer = client.post(f"/v1/images/{identifier}/segment", json={"classes": classes})
            assert answer.status_code == 422
            assert len(answer.text) < 1000
        deep = json.dumps({"classes": "cat"})[:-1] + ', "lht": ' + "[" * 50_000
        headers = {"content-type": "application/json"}
        answer = client.post(f"/v1/images/{identifier}/segment", content=deep, headers=headers)
        assert answer.status_code in (400, 422)
        assert time.monotonic() - started < 10


def test_deletes_race_with_questions(port: int) -> None:
    """Every answer is the labels, or says that the image is gone; afterwards nothing is left."""

    async def all_at_once() -> list[int]:
        async with httpx.AsyncClient(base_url=f"http://localhost:{port}", timeout=60) as client:
            answer = await client.post("/v1/images", content=PNG, headers=IMAGE)
            path = f"/v1/images/{answer.json()['id']}"
            asked = [client.post(f"{path}/segment", json={"classes": "cat"}) for _ in range(4)]
            gone = [client.delete(path) for _ in range(4)]
            mixed = [each for pair in zip(asked, gone, strict=True) for each in pair]
            answers = await asyncio.gather(*mixed)
            left = await client.post(f"{path}/segment", json={"classes": "cat"})
            return [*(each.status_code for each in answers), left.status_code]

    for _ in range(3):
        *statuses, left = asyncio.run(all_at_once())
        assert set(statuses) <= {200, 204, 404}
        assert 204 in statuses
        assert left == 404
