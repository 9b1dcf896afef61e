"""The documentation site builds without a warning, works offline, and no link is dead."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from docs.generated import pages
from lhtclip.cli import COMMANDS

ROOT = Path(__file__).parents[2]
PAGES = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
    ROOT / "training" / "README.md",
    ROOT / "src" / "lhtclip" / "data" / "bundled" / "README.md",
]
GENERATED = {ROOT / "docs" / "reference" / name for name in pages()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = [each.partition("#")[0] for each in re.findall(r"\]\(([^)\s]+)\)", text)]
    local = [page.parent / each for each in targets if each and "://" not in each]
    missing = [each for each in local if not each.exists() and each.resolve() not in GENERATED]
    assert not missing


def test_every_module_that_pages_run_exists() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    modules = set(re.findall(r"python -m ([a-z_]+(?:\.[a-z_]+)*)", text))
    assert [name for name in sorted(modules) if find_spec(name) is None] == []


def test_every_command_is_in_its_reference() -> None:
    page = pages()["cli.md"]
    for command in COMMANDS:
        assert f"\n## lhtclip {command}\n" in page
    assert "| `--model" in page
    assert r"\[default: ViT-B-16\]" in page


def test_every_page_is_in_the_navigation() -> None:
    navigation = set(re.findall(r'"([\w/-]+\.md)"', (ROOT / "zensical.toml").read_text("utf-8")))
    written = {str(each.relative_to(ROOT / "docs")) for each in (ROOT / "docs").rglob("*.md")}
    assert navigation == written | {f"reference/{each.name}" for each in GENERATED}


def test_the_site_builds_without_a_warning_and_needs_no_network(tmp_path: Path) -> None:
    pytest.importorskip("zensical")
    shutil.copy(ROOT / "zensical.toml", tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    (tmp_path / "src").symlink_to(ROOT / "src")
    for name, text in pages().items():
        (tmp_path / "docs" / "reference" / name).write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    built = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=_alone())
    assert built.returncode == 0, built.stdout + built.stderr
    assert "Warning" not in built.stdout + built.stderr
    api = (tmp_path / "site" / "reference" / "api.html").read_text(encoding="utf-8")
    assert 'id="lhtclip.segmenter.segmenter.Segmenter.from_pretrained"' in api
    for page in (tmp_path / "site").rglob("*.html"):
        loaded = r"""<(?:script|img|link)\b[^>]*?(?:src|href)=["']?(?:https?:)?//"""
        assert not re.search(loaded, page.read_text(encoding="utf-8")), page


def _alone() -> dict[str, str]:
    return {**os.environ, "NO_COLOR": "1", "PYTHONPATH": str(ROOT / "src")}
