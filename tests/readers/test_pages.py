"""The code on the pages about other programs, run where these programs are installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.code_blocks import ROOT, blocks_of

PAGES = {
    page.stem: blocks
    for page in sorted((ROOT / "docs" / "how-to").glob("use-in-*.md"))
    if (blocks := [block for block in blocks_of(page) if block.reason == "another program"])
}


def test_pages_have_such_code() -> None:
    assert {"use-in-hugging-face", "use-in-supervision"} <= PAGES.keys()


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs(
    page: str, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    from lhtclip import Segmentation

    (tmp_path / "labels").symlink_to(out)
    Image.open(out / "yolo/images/a.jpg").save(tmp_path / "street.jpg")
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"result": Segmentation.load(out / "a.png")}
    for block in PAGES[page]:
        assert block.language == "python"
        code = "\n" * block.line + block.code  # so that a traceback has the line of the page
        exec(compile(code, f"{page}.md", "exec", dont_inherit=True), namespace)
