"""Every code block of the README and the documentation runs, or says why it does not.

Blocks of a page run in order, in one namespace and one folder. The bundled model stands in for
ViT-B-16 and ViT-L-14, bundled scenes for photographs. `<!-- not run: REASON -->` on the line before
a block keeps it from running; the reasons are listed below.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import click
import pytest
from PIL import Image

from lhtclip.cli import group, main
from tests.code_blocks import ROOT, Block, blocks_of

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SCENES = ROOT / "src" / "lhtclip" / "data" / "scenes"
REASONS = {
    "a cluster": "needs several machines; tests/batch and tests/cli run the commands",
    "a server": "needs a running server; tests/server runs the calls",
    "a shell": "other programs than lhtclip",
    "the network": "downloads a checkpoint",
    "data sets": "reads published data sets or what was measured on them",
    "another program": "needs the program that the page is about; `make test-readers` runs it",
    "a database": "needs MongoDB; `make test-readers` runs the importer that is below it",
    "slow": "takes longer than a few seconds; other tests run the commands",
}
STAND_INS = re.compile(r"ViT-[BL]-1[64](?![-\w.])")


def blocks_on(page: Path) -> list[Block]:
    """Return the blocks of a page, with the bundled model for those that would be downloaded."""
    return [replace(block, code=STAND_INS.sub("bundled", block.code)) for block in blocks_of(page)]


RUNNABLE = {
    page: [block for block in blocks_on(page) if block.language in ("python", "sh")]
    for page in PAGES
}


@pytest.mark.parametrize(
    "page",
    [page for page, blocks in RUNNABLE.items() if any(not block.reason for block in blocks)],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_every_block_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    furnish(tmp_path)
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in RUNNABLE[page]:
        if block.reason:
            continue
        if block.language == "python":
            code = "\n" * block.line + block.code  # so that a traceback has the line of the page
            exec(compile(code, page, "exec", dont_inherit=True), namespace)
            continue
        for command in commands(block.code):
            assert main(command) == 0, f"{page}:{block.line}\n{capsys.readouterr().err}"


def test_blocks_that_do_not_run_say_why() -> None:
    reasons = Counter(block.reason for blocks in RUNNABLE.values() for block in blocks)
    assert set(reasons) - {""} <= set(REASONS), "write one of these reasons"
    assert reasons[""] >= 20


@pytest.mark.parametrize("page", ["README.md", "docs/index.md", "docs/tutorials"])
def test_what_beginners_read_runs(page: str) -> None:
    found = [blocks for each, blocks in RUNNABLE.items() if each.is_relative_to(ROOT / page)]
    assert {block.reason for blocks in found for block in blocks} <= {"", "a shell"}
    assert any(not block.reason for blocks in found for block in blocks)


def test_every_block_has_a_language() -> None:
    for page in PAGES:
        assert not [block.line for block in blocks_of(page) if not block.language], page


def furnish(folder: Path) -> None:
    """Make the images that the pages speak of."""
    shutil.copy(SCENES / "scene-11.png", folder / "scene.png")
    (folder / "photos" / "harbour").mkdir(parents=True)
    for name, scene in {"street": "02", "photos/a": "03", "photos/harbour/b": "05"}.items():
        with Image.open(SCENES / f"scene-{scene}.png") as opened:
            opened.convert("RGB").resize((224, 224)).save(folder / f"{name}.jpg")
    (folder / "classes.txt").write_text("car\nroad\nperson|rider\n", encoding="utf-8")


def commands(code: str) -> list[list[str]]:
    """Split a shell block into calls of lhtclip; the bundled model is put where none is named."""
    lines = code.replace("\\\n", " ").splitlines()
    calls = [shlex.split(line, comments=True) for line in lines]
    return [_with_model(words) for words in calls if words]


def _with_model(words: list[str]) -> list[str]:
    assert words[0] == "lhtclip", f"{words[0]!r}: mark the block `<!-- not run: a shell -->`"
    command = group.get_command(click.Context(group), words[1])
    takes = command is not None and any(each.name == "model" for each in command.params)
    return words[1:] + (["--model", "bundled"] if takes and "--model" not in words else [])
