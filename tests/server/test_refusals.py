"""Every refusal is a problem document with the right status, and nothing is ever a 500."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lhtclip import InputError
from lhtclip.datasets.scene_files import bundled_scenes
from lhtclip.server.settings import ServerSettings
from tests.server.conftest import Start

PNG = bundled_scenes()[0].image.read_bytes()
IMAGE = {"content-type": "image/png"}


@pytest.mark.parametrize(
    ("given", "status", "said"),
    [
        ({"content": b"", "headers": IMAGE}, 422, "empty"),
        ({"content": b"not an image", "headers": IMAGE}, 422, "image"),
        ({"content": PNG[:500], "headers": IMAGE}, 422, "damaged"),
        ({"content": PNG, "headers": {"content-type": "text/html"}}, 415, "text/html"),
        ({"content": PNG}, 415, "nothing"),
        ({"files": {"other": ("x.png", PNG)}}, 422, "file"),
        ({"json": {"image": "%%%"}}, 422, "base64"),
        ({"json": [1]}, 422, "base64"),
        ({"content": b"{" * 100_000, "headers": {"content-type": "application/json"}}, 422, ""),
    ],
)
def test_uploads_that_cannot_be_used(
    start: Start, given: dict[str, Any], status: int, said: str
) -> None:
    answer = start().post("/v1/images", **given)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in answer.json()["detail"]


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"classes": ""},
        {"classes": []},
        {"classes": [["a", 1]]},
        {"classes": "cat, cat"},
        {"classes": "cat", "threshold": 2},
        {"classes": "cat", "threshold": "NaN"},
        {"classes": "cat", "method": "nope"},
        {"classes": "cat", "include": ["everything"]},
        {"classes": "cat", "colour": "red"},
        {"classes": ["x" * 60_000]},
        {"classes": [f"class {i}" for i in range(10_000)]},
    ],
)
def test_words_that_cannot_be_used(start: Start, asked: dict[str, Any]) -> None:
    client = start()
    identifier = client.post("/v1/images", content=PNG, headers=IMAGE).json()["id"]
    answer = client.post(f"/v1/images/{identifier}/segment", json=asked)
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"]


def test_a_body_that_is_too_large_is_refused_with_and_without_its_length(start: Start) -> None:
    client = start(max_bytes=1000)
    assert client.post("/v1/images", content=PNG, headers=IMAGE).status_code == 413
    pieces = (PNG[i : i + 400] for i in range(0, len(PNG), 400))
    assert client.post("/v1/images", content=pieces, headers=IMAGE).status_code == 413


def test_an_image_of_too_many_pixels_is_refused(start: Start) -> None:
    answer = start(max_pixels=1000).post("/v1/images", content=PNG, headers=IMAGE)
    assert answer.status_code == 422
    assert "1000" in answer.json()["detail"]


def test_the_token_is_asked_for_before_a_body_is_read(start: Start) -> None:
    client = start(token="secret", max_bytes=10_000_000)
    answer = client.post("/v1/images", content=PNG, headers=IMAGE)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    for value, status in (("Bearer wrong", 401), ("Basic secret", 401), ("Bearer secret", 201)):
        headers = IMAGE | {"authorization": value}
        assert client.post("/v1/images", content=PNG, headers=headers).status_code == status
    assert client.get("/healthz").status_code == 200
    assert client.get("/").status_code == 200
    assert client.get("/metrics").status_code == 401


def test_other_hosts_and_origins_are_refused(start: Start) -> None:
    client = start()
    assert client.get("/healthz", headers={"host": "evil.example"}).status_code == 403
    assert client.get("/v1/methods", headers={"origin": "https://evil.example"}).status_code == 403
    own = {"origin": "http://localhost"}
    assert client.get("/v1/methods", headers=own).status_code == 200
    listed = start(cors=("https://maps.example",))
    answer = listed.get("/v1/methods", headers={"origin": "https://maps.example"})
    assert answer.headers["access-control-allow-origin"] == "https://maps.example"


def test_answers_carry_the_headers_that_keep_a_browser_safe(start: Start) -> None:
    for path in ("/", "/v1/methods", "/nothing/here"):
        headers = start().get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    ["/page/../settings.py", "/page/%2e%2e/settings.py", "/page//etc/passwd", "/v1/folder"],
)
def test_no_file_of_the_machine_can_be_read(start: Start, path: str) -> None:
    assert start().get(path).status_code in (404, 405)


def test_the_folder_ends_at_its_root(start: Start, tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside.png"
    root.mkdir()
    outside.write_bytes(PNG)
    (root / "in.png").write_bytes(PNG)
    (root / "link.png").symlink_to(outside)
    (root / ".hidden.png").write_bytes(PNG)
    (root / "notes.txt").write_text("x")
    client = start(root=root)
    assert client.get("/v1/folder").json() == {"total": 1, "images": ["in.png"]}
    assert client.post("/v1/folder/open", params={"name": "in.png"}).status_code == 201
    assert client.get("/v1/folder/thumbnail", params={"name": "in.png"}).status_code == 200
    for name in ("../outside.png", str(outside), "link.png", "notes.txt", "no.png", "a\0.png"):
        for call in ("image", "thumbnail"):
            answer = client.get(f"/v1/folder/{call}", params={"name": name})
            assert answer.status_code == 404, name


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"host": "0.0.0.0"}, "--no-token"),
        ({"token": " "}, "empty"),
        ({"port": 70_000}, "65535"),
        ({"queue": 0}, "queue"),
        ({"root": Path("/no/such/folder")}, "folder"),
        ({"label_studio": "file:///etc"}, "http"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        ServerSettings(**settings)
