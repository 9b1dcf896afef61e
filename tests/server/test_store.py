"""Images leave by size and by age."""

from __future__ import annotations

import numpy as np
import pytest

from lhtclip.server import store as module
from lhtclip.server.metrics import Metrics
from lhtclip.server.problems import Problem
from lhtclip.server.store import ImageStore

IMAGE = np.zeros((10, 10, 3), np.uint8)  # 300 bytes


def test_the_least_recently_used_leave_first() -> None:
    store = ImageStore(max_bytes=700, idle_seconds=100, metrics=Metrics())
    first, second = store.add(IMAGE), store.add(IMAGE)
    store.get(first.id)
    third = store.add(IMAGE)
    assert store.get(first.id) is first
    assert store.get(third.id) is third
    with pytest.raises(Problem, match="Upload it again"):
        store.get(second.id)


def test_what_is_idle_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    store = ImageStore(max_bytes=10_000, idle_seconds=100, metrics=Metrics())
    stored = store.add(IMAGE)
    now[0] = 99
    assert store.get(stored.id) is stored
    now[0] = 200
    with pytest.raises(Problem):
        store.get(stored.id)


def test_an_image_larger_than_the_cache_stays_while_it_is_used() -> None:
    store = ImageStore(max_bytes=10, idle_seconds=100, metrics=Metrics())
    stored = store.add(IMAGE)
    assert len(stored.id) >= 20
    with pytest.raises(Problem):
        store.remove("other")
