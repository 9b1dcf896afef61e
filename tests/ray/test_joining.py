"""Which cluster a run joins: the one that is named, else one that still answers, else a new one."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from lhtclip.errors import InputError
from lhtclip.ray.cluster import connected


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The addresses that `ray.init` was given, in place of a real Ray."""
    addresses: list[str] = []
    ray = SimpleNamespace(
        is_initialized=lambda: False,
        init=lambda address, **_: addresses.append(address),
        shutdown=lambda: None,
    )
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setitem(sys.modules, "ray.data", SimpleNamespace())
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    (tmp_path / "ray").mkdir()
    return addresses


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.mark.parametrize("given", [None, "", "auto"])
def test_a_cluster_of_this_machine_that_answers_is_joined(given, joined, port, tmp_path):
    (tmp_path / "ray/ray_current_cluster").write_text(f"127.0.0.1:{port}")
    with connected(given):
        assert joined == [f"127.0.0.1:{port}"]


@pytest.mark.parametrize("noted", ["127.0.0.1:{closed}", ""])
def test_a_cluster_that_has_gone_is_not_waited_for(noted, joined, tmp_path):
    (tmp_path / "ray/ray_current_cluster").write_text(noted.format(closed=_closed_port()))
    with connected(None):
        assert joined == ["local"]


def test_the_environment_names_a_cluster(joined, port, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", f"ray://127.0.0.1:{port}")
    with connected(None):
        assert joined == [f"ray://127.0.0.1:{port}"]


def test_a_named_cluster_that_does_not_answer_is_an_error_at_once(joined):
    address = f"127.0.0.1:{_closed_port()}"
    with pytest.raises(InputError, match=f"{address}.*--ray HOST:6379"), connected(address):
        pass
    assert not joined
