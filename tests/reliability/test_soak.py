"""The campaign of `make soak` notices what it looks for."""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.soak.children import run_in_child
from tests.soak.stages import images
from tests.soak.tally import seeds

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no forks")


def fail() -> int:
    raise RuntimeError("a mistake of ours")


def hang() -> int:
    signal.pause()
    return 0


@pytest.mark.parametrize(
    ("work", "code", "broken"),
    [
        (lambda: 2, 2, False),
        (lambda: None, 0, False),
        (fail, 70, True),
        (hang, -signal.SIGALRM, True),
        (lambda: os.kill(os.getpid(), signal.SIGTERM), -signal.SIGTERM, True),
        (lambda: print("Traceback", file=sys.stderr), 0, True),
    ],
)
def test_children(work: Callable[[], int | None], code: int, broken: bool) -> None:
    ended = run_in_child(work, seconds=0.5)
    assert (ended.code, ended.broken) == (code, broken)


def test_a_child_is_killed_in_time() -> None:
    assert run_in_child(hang, kill_after=0.05).code == -signal.SIGKILL


def test_a_stage_counts_and_notes_failures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(list(seeds(random.Random(0), 0))) == 1
    tally = images(random.Random(0), 0, tmp_path)
    assert (tally.counts["damaged images"], tally.failures) == (100, [])
    monkeypatch.setattr("tests.soak.stages.read_image", lambda *_, **__: fail())
    assert "a mistake of ours" in images(random.Random(0), 0, tmp_path).failures[0]
