"""The one command for GPUs: its parts, in order, and what becomes of a part that fails."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.gpu import PARTS, main


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Commands that would have been run; the decoder's fails and the folder's takes too long."""
    seen: list[list[str]] = []

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        if command[1] == "-m":
            seen.append(command[2:])
        if "benchmarks.folder" in command:
            raise subprocess.TimeoutExpired(command, options["timeout"])
        failed = "benchmarks.decode" in command
        return subprocess.CompletedProcess(command, int(failed), stdout="what was printed")

    monkeypatch.setattr(subprocess, "run", run)
    return seen


def test_a_rehearsal(
    commands: list[list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--rehearse", "--train", "2", "--out", str(tmp_path)]) == 1
    parts = [f"benchmarks.{part.name}" for part in PARTS]
    assert [command[0] for command in commands] == ["pytest", *parts, "training.train"]
    assert not any("cuda" in command for command in commands)
    printed = capsys.readouterr().out
    assert "what was printed" in printed
    assert "failed: decode, folder" in printed
    assert [path.name for path in tmp_path.iterdir()] == ["gpu.cpu.json"]


def test_without_a_gpu(
    monkeypatch: pytest.MonkeyPatch, commands: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main([]) == 2
    assert not commands
    assert "--rehearse" in capsys.readouterr().err
