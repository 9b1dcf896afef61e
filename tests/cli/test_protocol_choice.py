"""Evaluate, calibrate and reproduce choose the same protocol for the same method."""

from __future__ import annotations

from typing import Any

import pytest

from lhtclip.cli.calibrate import run as calibration
from lhtclip.cli.evaluate import run as evaluation
from lhtclip.cli.evaluate import tasks
from lhtclip.errors import InputError
from lhtclip.evaluation.published_protocols import protocol_for
from lhtclip.methods import METHODS
from lhtclip.paper.reproduce import protocol_of
from lhtclip.paper.tables import Row


@pytest.mark.parametrize("method", METHODS)
def test_three_commands_choose_one_protocol(
    lhtclip: Any, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[tuple[str, str]] = []

    def spy(dataset: str, publication: str) -> Any:
        chosen.append((dataset, publication))
        return protocol_for(dataset, publication)

    def stop(*given: Any, **named: Any) -> None:
        raise InputError("far enough")

    for module in (tasks, calibration):
        monkeypatch.setattr(module, "protocol_for", spy)
    for module in (evaluation, calibration):
        monkeypatch.setattr(module, "load_checkpoint", stop)
    model = ("--model", "bundled", "--method", method)
    assert "far enough" in lhtclip("evaluate", "scenes", *model, "--no-check").err
    assert "far enough" in lhtclip("calibrate", *model, "--data", "scenes").err
    published = protocol_of(Row("a row", method=method, published={}), "scenes").publication
    assert chosen == [("scenes", published)] * 2
