"""Measure the page in Chromium: from the key to the picture, with 20 words on an encoded image.

`python -m benchmarks.server_page` types letters into the page of a server of its own. Letters of a
word that was typed before need no text tower; those of a new word do. It needs Playwright and
Chromium, and Linux for the processor time.
"""

from __future__ import annotations

import base64
import io
import shutil
from collections.abc import Sequence
from typing import Any

from PIL import Image

from benchmarks.harness import Times, read_options
from benchmarks.results import Results, spread
from benchmarks.served import serve
from lhtclip.datasets.scene_files import bundled_scenes

SIZE, WORDS, KEYS = (683, 512), 20, 12
BUDGET = 60.0  # seconds
_DROP = """([data]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], "a.png", { type: "image/png" }));
  const stage = document.getElementById("stage");
  stage.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true }));
}"""
# From a key to the frame after the labels of its word are drawn, in milliseconds.
_WATCH = """() => {
  const words = document.getElementById("words");
  words.addEventListener("keydown", () => { window.pressed = performance.now(); }, true);
  new MutationObserver(() => requestAnimationFrame(() => {
    window.took = performance.now() - window.pressed;
  })).observe(document.body, { attributeFilter: ["data-answered"] });
}"""


def main(given: list[str] | None = None) -> Results:
    """Measure, print and save."""
    from playwright.sync_api import sync_playwright

    options, _ = read_options(__doc__, budget=BUDGET, dtypes="auto", given=given)
    results = Results("server_page", options)
    names = sorted({name for scene in bundled_scenes() for name in scene.names})[:WORDS]
    with serve("--model", "bundled") as served, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("chromium-browser"),
            args=["--no-sandbox", "--disable-gpu"],
        )
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(120_000)
        page.goto(f"http://127.0.0.1:{served.port}/")
        page.wait_for_selector("#left-method")
        page.evaluate(_DROP, [_image()])
        page.wait_for_selector("#left:not([hidden])")
        page.fill("#words", ", ".join(names[:-1]) + ",")
        _wait(page)
        page.evaluate(_WATCH)
        keys = 2 if options.quick else KEYS
        rows: list[Sequence[str]] = []
        for title, word in (("new words", "abcdefghijklmnop"), ("known words", "abcdefghijklmnop")):
            page.fill("#words", "")
            _wait(page)
            cpu, times = served.cpu, [_press(page, letter) for letter in word[:keys]]
            server = 1000 * (served.cpu - cpu) / keys
            rows.append(
                (title, spread(Times(tuple(each / 1000 for each in times))), f"{server:.0f}")
            )
            median = Times(tuple(times)).median
        browser.close()
    title = f"bundled model, {WORDS} words, {SIZE[1]} × {SIZE[0]} pixels, {keys} keys"
    header = ("letters of", "key to picture", "server's CPU ms a key")
    results.table(title, header, rows)
    results.goal(
        "key to picture, known words", "< 150 ms", f"{median:.0f} ms", reached=median < 150
    )
    results.save()
    return results


def _image() -> str:
    with Image.open(bundled_scenes()[0].image) as picture, io.BytesIO() as file:
        picture.convert("RGB").resize(SIZE).save(file, format="PNG")
        return base64.b64encode(file.getvalue()).decode()


def _press(page: Any, key: str) -> float:
    page.evaluate("() => { window.took = null; document.body.dataset.answered = ''; }")
    page.focus("#words")
    page.keyboard.press(key)
    _wait(page)
    page.wait_for_function("() => window.took !== null")
    return page.evaluate("() => window.took")


def _wait(page: Any) -> None:
    page.wait_for_selector("body[data-answered]:not([data-answered=''])")


if __name__ == "__main__":
    main()
