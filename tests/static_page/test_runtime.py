"""The runtime comes from a folder, from the cache, or from npm, and only as it should be."""

from __future__ import annotations

import io
import tarfile
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from lhtclip.errors import InputError
from lhtclip.static_page import runtime


def _archive() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name in runtime.FILES:
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(name)
            archive.addfile(member, io.BytesIO(name.encode()))
    return file.getvalue()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LHTCLIP_CACHE", str(tmp_path))
    return tmp_path


def test_a_download_is_checked_and_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content, asked = _archive(), list[str]()

    def urlopen(url: str, *, timeout: float) -> Any:
        asked.append(url)
        return io.BytesIO(content)

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    with pytest.raises(InputError, match="SHA-512"):
        runtime.runtime_files()
    assert not any(cache.iterdir())
    monkeypatch.setattr(runtime, "_is_right", lambda found: found == content)
    for _ in range(2):
        files = runtime.runtime_files()
        assert files == {name: name.encode() for name in runtime.FILES}
    assert len(asked) == 2  # the refused one and the kept one


def test_without_a_network_the_remedy_is_named(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def urlopen(url: str, *, timeout: float) -> Any:
        raise OSError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    with pytest.raises(InputError, match="--runtime DIR"):
        runtime.runtime_files()
