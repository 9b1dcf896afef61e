"""What a user does on the page."""

from __future__ import annotations

import base64
from typing import Any

_DROP = """([name, data]) => {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type: "image/png" }));
  const stage = document.getElementById("stage");
  stage.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true }));
}"""


def answered(page: Any) -> None:
    """Wait until the labels of the latest question are on the screen."""
    page.wait_for_selector("body[data-answered]:not([data-answered=''])", timeout=120_000)


def ask(page: Any, words: str) -> None:
    page.evaluate("() => { document.body.dataset.answered = ''; }")
    page.fill("#words", words + ",")
    answered(page)


def drop(page: Any, name: str, data: bytes) -> None:
    page.evaluate(_DROP, [name, base64.b64encode(data).decode()])


def download(page: Any, what: str) -> bytes:
    with page.expect_download() as waiting:
        page.click(f"[data-download={what}]")
    return waiting.value.path().read_bytes()
