"""The command as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import lhtclip


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    source = str(Path(lhtclip.__file__).parents[1])
    return os.environ | {
        "PYTHONPATH": source,
        "LHTCLIP_CACHE": str(tmp_path / "cache"),
        "HF_HOME": str(tmp_path / "hub"),
        "HF_HUB_OFFLINE": "1",
    }


def python(*arguments: object, environment: dict[str, str], **options: Any) -> Any:
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        **options,
    )


@pytest.mark.parametrize("arguments", [["--help"], ["segment", "--help"], ["segmnet"]])
def test_help_needs_no_torch(arguments: list[str], environment: dict[str, str]) -> None:
    code = (
        "import sys; from lhtclip.cli import main; "
        f"main({arguments!r}); sys.exit('torch' in sys.modules)"
    )
    outcome = python("-c", code, environment=environment)
    assert outcome.returncode == 0, outcome.stderr


def test_exit_codes(environment: dict[str, str], tmp_path: Path) -> None:
    assert python("-m", "lhtclip", "--version", environment=environment).returncode == 0
    bad = python(
        *("-m", "lhtclip", "segment", "nowhere.png", "--classes", "cat"),
        environment=environment,
        cwd=tmp_path,
    )
    assert bad.returncode == 2
    assert bad.stdout == ""
    assert bad.stderr.startswith("lhtclip: 'nowhere.png' is not an image file")
    assert len(bad.stderr.splitlines()) == 1


def test_a_closed_pipe_is_no_error_worth_words(environment: dict[str, str]) -> None:
    end, pipe = os.pipe()
    os.close(end)
    try:
        outcome = subprocess.run(
            [sys.executable, "-m", "lhtclip", "--help"],
            env=environment,
            stdout=pipe,
            stderr=subprocess.PIPE,
            timeout=120,
        )
    finally:
        os.close(pipe)
    assert outcome.stderr == b""


def test_an_error_of_ours_keeps_its_traceback(environment: dict[str, str]) -> None:
    code = (
        "import lhtclip.cli.models as m, lhtclip.cli as c, sys\n"
        "def fail(**_): raise RuntimeError('a mistake of ours')\n"
        "m.command.callback = fail\n"
        "sys.exit(c.main(['models']))"
    )
    outcome = python("-c", code, environment=environment)
    assert outcome.returncode == 1
    assert "Traceback" in outcome.stderr
    assert "a mistake of ours" in outcome.stderr


def test_segment_from_end_to_end(
    environment: dict[str, str], checkpoint: Path, draw: Any, tmp_path: Path
) -> None:
    draw("one.png")
    outcome = python(
        *("-m", "lhtclip", "segment", "one.png", "--classes", "cat, sky", "--model", checkpoint),
        *("--format", "labels", "--short-side", 32, "--templates", "plain"),
        environment=environment,
        cwd=tmp_path,
    )
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.splitlines() == [str(Path("lhtclip-out/one.png"))]
    assert (tmp_path / "lhtclip-out/one.png").is_file()
