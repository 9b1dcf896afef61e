"""Results become tables, and every benchmark makes results."""

from __future__ import annotations

import json
import subprocess
from importlib import import_module
from pathlib import Path

import pytest
import torch

from benchmarks import NAMES, startup
from benchmarks.__main__ import main as run_some
from benchmarks.harness import Clock, Options, Times
from benchmarks.report import BEGIN, END, PAGE, fill, load, main
from benchmarks.results import Results


def results(folder: Path, name: str = "tower", *, device: str = "cpu", quick: bool = False) -> None:
    options = Options(torch.device("cpu"), (torch.float32,), Clock(5.0), quick, "ViT-B-16", folder)
    found = Results(name, options)
    found.table(f"Table of {name}", ("what", "time"), [("one", "1 s"), ("two", "2 s")])
    found.goal(f"goal of {name}", "60 %", "61 %", reached=True)
    found.goal(f"other goal of {name}", "60 %", "not measured", reached=None)
    found.note("Something was left out.")
    found.keep("raw", {"one": Times((1.0, 2.0))})
    path = found.save()
    content = json.loads(path.read_text())
    content["hardware"]["device"] = device
    path.rename(folder / f"{name}.{device}.json").write_text(json.dumps(content))


def test_results_are_kept_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results(tmp_path)
    content = json.loads((tmp_path / "tower.cpu.json").read_text())
    assert content["numbers"]["raw"]["one"]["seconds"] == [1.0, 2.0]
    assert content["hardware"]["threads"] == torch.get_num_threads()
    assert content["versions"]["torch"] == torch.__version__
    assert content["goals"][1]["reached"] is None
    assert {"date", "commit"} <= content.keys()
    printed = capsys.readouterr().out
    assert "Table of tower" in printed
    assert "goal of tower: 61 %; to reach: 60 %: yes" in printed


def test_page(tmp_path: Path) -> None:
    results(tmp_path, "tower", device="cuda")
    results(tmp_path, "decode")
    results(tmp_path, "tower")
    page = tmp_path / "page.md"
    page.write_text(f"Before.\n{BEGIN}\nold\n{END}\nAfter.\n")
    assert main(["--results", str(tmp_path), "--page", str(page)]) == 0
    text = page.read_text()
    assert text.startswith("Before.\n")
    assert text.endswith("After.\n")
    assert "old" not in text
    assert text.index("## On the CPU") < text.index("### The tower") < text.index("### Decoding")
    assert text.index("### Decoding") < text.index("## On the GPU")
    assert "| goal of decode | 60 % | 61 % | yes |" in text
    assert "| other goal of decode | 60 % | not measured | ? |" in text
    assert "| what | time |\n| --- | --- |\n| one | 1 s |\n| two | 2 s |" in text
    assert "- Something was left out." in text
    assert "--quick" not in text
    assert main(["--results", str(tmp_path), "--page", str(page)]) == 0
    assert page.read_text() == text


def test_quick_numbers_are_marked(tmp_path: Path) -> None:
    results(tmp_path, quick=True)
    page = tmp_path / "page.md"
    page.write_text(f"{BEGIN}{END}")
    assert main(["--results", str(tmp_path), "--page", str(page)]) == 0
    assert "Measured with --quick" in page.read_text()


def test_without_results_the_page_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--results", str(tmp_path), "--page", str(tmp_path / "none.md")]) == 1
    assert "make bench" in capsys.readouterr().err
    assert load(tmp_path) == []


def test_the_page_has_its_marks() -> None:
    assert fill(PAGE.read_text(encoding="utf-8"), "new").count("\n\nnew\n\n") == 1
    with pytest.raises(ValueError, match="needs a line"):
        fill("no marks", "new")


def test_every_benchmark_is_there() -> None:
    for name in NAMES:
        assert callable(import_module(f"benchmarks.{name}").main)


SMALLER = {
    "decode": ("--only", "COCO-Object"),
    "end_to_end": ("--only", "VOC21"),
    "folder": ("--photos", "2"),
    "text": ("--names", "2"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if name != "startup"])
def test_a_quick_run_ends_in_results(name: str, tmp_path: Path) -> None:
    quick = ["--quick", "--model", "bundled", "--budget", "0.01", "--out", str(tmp_path)]
    import_module(f"benchmarks.{name}").main([*quick, *SMALLER.get(name, ())])
    (found,) = load(tmp_path)
    assert found["benchmark"] == name
    assert found["tables"]
    assert all(len(row) == len(t["header"]) for t in found["tables"] for row in t["rows"])
    assert found["goals"] or name in ("scaling", "precision")


@pytest.mark.parametrize(("torch_there", "reached"), [(0, True), (1, False)])
def test_start(
    torch_there: int, reached: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        code = 0 if check else torch_there
        return subprocess.CompletedProcess(arguments, code, stdout="0.5\n")

    monkeypatch.setattr(startup, "_run", run)
    startup.main(["--budget", "0.01", "--out", str(tmp_path)])
    (found,) = load(tmp_path)
    goals = {(goal["what"], goal["target"]): goal["reached"] for goal in found["goals"]}
    assert goals["import lhtclip, beyond torch", "under 300 ms"] is False
    assert goals["lhtclip --help", "torch not imported"] is reached


def test_benchmarks_by_name_each_in_a_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    called: list[list[str]] = []

    def run(command: list[str], *, check: bool) -> subprocess.CompletedProcess[str]:
        assert not check
        called.append(command[1:])
        return subprocess.CompletedProcess(command, int("benchmarks.lht" in command))

    monkeypatch.setattr(subprocess, "run", run)
    assert run_some(["words", "--quick", "tower"]) == 0
    assert called == [["-m", f"benchmarks.{name}", "--quick"] for name in ("words", "tower")]
    called.clear()
    assert run_some([]) == 1
    assert [command[1] for command in called] == [f"benchmarks.{name}" for name in NAMES]
    assert capsys.readouterr().err == "Failed: lht\n"
