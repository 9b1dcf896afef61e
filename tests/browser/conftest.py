"""A real browser on a real server process; skipped where Chromium or Playwright is missing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lhtclip

_FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]


_TOOLS = Path(__file__).parents[2] / ".browser"


def npm_package(name: str) -> Path:
    """Return the folder of a package that `make test-browser` unpacks; skip where it is not."""
    folder = _TOOLS / name / "package"
    if not folder.is_dir():
        pytest.skip(f"needs the npm package {name}: make test-browser")
    return folder


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """Start `lhtclip serve` on a free port and return its address."""
    source = str(Path(lhtclip.__file__).parents[1])
    scenes = Path(lhtclip.__file__).parent / "data" / "scenes"
    command = ["-m", "lhtclip", "serve", "--model", "bundled", "--port", "0", "--root", str(scenes)]
    process = subprocess.Popen(
        [sys.executable, *command],
        env=os.environ | {"PYTHONPATH": source},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    found = re.search(r"http://\S+", process.stdout.readline())
    assert found, "the server printed no address"
    yield found[0].rstrip("/")
    process.terminate()
    assert process.wait(60) == 0
    process.stdout.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Start one headless Chromium."""
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        own = playwright.chromium.launch(executable_path=chromium, args=_FLAGS)
        yield own
        own.close()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """Open the page; afterwards nothing may have failed or gone to another host."""
    own = browser.new_page(viewport={"width": 1280, "height": 900})
    own.set_default_timeout(120_000)  # milliseconds; machines may be busy
    troubles: list[str] = []
    own.on("pageerror", lambda error: troubles.append(str(error)))
    own.on(
        "request", lambda r: r.url.startswith((address, "blob:", "data:")) or troubles.append(r.url)
    )
    own.goto(address)
    own.wait_for_selector("#left-method")
    yield own
    own.close()
    assert not troubles
