"""Every benchmark makes results, and results become tables."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import pytest
import torch

from benchmarks import NAMES
from benchmarks.harness import Clock, Options
from benchmarks.report import PAGE, fill, load, main
from benchmarks.results import Results


def save(folder: Path, name: str, *, device: str = "cpu", quick: bool = False) -> None:
    options = Options(torch.device("cpu"), (torch.float32,), Clock(5.0), quick, "ViT-B-16", folder)
    found = Results(name, options)
    found.table(f"Table of {name}", ("what", "time"), [("one", "1 s"), ("two", "2 s")])
    found.goal(f"goal of {name}", "60 %", "61 %", reached=True)
    found.note("Something was left out.")
    path = found.save()
    content = json.loads(path.read_text())
    content["hardware"] |= {"device": device, "gpu": "A card" if device == "cuda" else None}
    path.rename(folder / f"{name}.{device}.json").write_text(json.dumps(content))


def marks(device: str) -> str:
    return f"<!-- measured on {device}: begin -->\nold\n<!-- measured on {device}: end -->\n"


def test_page(tmp_path: Path) -> None:
    save(tmp_path, "tower", device="cuda", quick=True)
    save(tmp_path, "decode")
    save(tmp_path, "tower")
    page = tmp_path / "page.md"
    page.write_text(f"Before.\n{marks('cpu')}Between.\n{marks('cuda')}{marks('mps')}After.\n")
    assert main(["--results", str(tmp_path), "--page", str(page)]) == 0
    text = page.read_text()
    assert text.startswith("Before.\n")
    assert text.endswith(f"{marks('mps')}After.\n")
    own, card = text.split("Between.")
    assert own.index("### The tower") < own.index("### Decoding")
    assert "| goal of decode | 60 % | 61 % | yes |" in own
    assert "| what | time |\n| --- | --- |\n| one | 1 s |\n| two | 2 s |" in own
    assert "- Something was left out." in own
    assert "## A card, 20" in card
    assert [part.count("--quick") for part in (own, card)] == [0, 1]
    assert main(["--results", str(tmp_path), "--page", str(page)]) == 0
    assert page.read_text() == text


def test_without_results_the_page_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--results", str(tmp_path), "--page", str(tmp_path / "none.md")]) == 1
    assert "make bench" in capsys.readouterr().err


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_page_has_its_marks(device: str) -> None:
    assert fill(PAGE.read_text(encoding="utf-8"), device, "new").count("\n\nnew\n\n") == 1
    with pytest.raises(ValueError, match=f"measured on {device}: begin"):
        fill("no marks", device, "new")


SMALLER = {
    "tower": ("--dtypes", "float32"),
    "decode": ("--only", "VOC21"),
    "end_to_end": ("--only", "VOC21", "--dtypes", "float32"),
    "folder": ("--photos", "2"),
    "text": ("--names", "2"),
    "server": (),
    "formats": (),
}


@pytest.mark.parametrize("name", [name for name in NAMES if name in SMALLER])
def test_a_quick_run_ends_in_results(name: str, tmp_path: Path) -> None:
    quick = ["--quick", "--model", "bundled", "--budget", "0.01", "--out", str(tmp_path)]
    import_module(f"benchmarks.{name}").main([*quick, *SMALLER[name]])
    (found,) = load(tmp_path)
    assert found["benchmark"] == name
    assert found["tables"]
    assert all(len(row) == len(t["header"]) for t in found["tables"] for row in t["rows"])
