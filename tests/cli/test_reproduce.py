"""`lhtclip reproduce` on the scenes of the package."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lhtclip import Segmenter
from lhtclip.cli import main
from lhtclip.paper.tables import COMBINATION, TABLES


def test_a_table_is_printed_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["reproduce", "combination", "--limit", "2", "--out", str(tmp_path), "--quiet"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "| all three |" in printed
    assert "| +3.5 |" in printed  # 37.4 - 33.9, the paper's
    content = json.loads((tmp_path / "combination.json").read_text())
    assert list(content["rows"]) == [row.title for row in COMBINATION]
    assert content["images"] == {"scenes": 2}
    measured = [row["measured"]["scenes"] for row in content["rows"].values()]
    assert all(0 < value < 100 for value in measured)
    assert (tmp_path / "combination.md").read_text().strip() == printed.strip()


def test_a_second_run_measures_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = TABLES["combination"][:2]
    monkeypatch.setitem(TABLES, "combination", rows)
    arguments = ["reproduce", "combination", "--limit", "1", "--out", str(tmp_path), "--quiet"]
    assert main(arguments) == 0
    first = capsys.readouterr().out

    def forbidden(*_: object) -> None:
        raise AssertionError("an image was encoded again")

    monkeypatch.setattr(Segmenter, "encode_many", forbidden)
    assert main(arguments) == 0
    assert capsys.readouterr().out == first


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tabel1"], "Unknown table 'tabel1'. Did you mean 'table1'?"),
        (["table1", "--random-weights"], "--random-weights is only for the table 'efficiency'"),
        (["table1", "--root", ".", "--scenes", "."], "Give either --root or --scenes"),
        (["atr", "--root", ".", "--model", "bundled"], "No data set of the paper is in"),
    ],
)
def test_bad_input(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reproduce", *arguments, "--out", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
