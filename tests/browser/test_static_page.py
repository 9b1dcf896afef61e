"""The page without a server: a folder, a plain file server, and a browser that does the work."""

from __future__ import annotations

import base64
import functools
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lhtclip import Segmenter
from lhtclip.datasets.scene_files import bundled_scenes
from lhtclip.static_page import export_page
from tests.browser.actions import answered, ask, download, drop
from tests.browser.conftest import npm_package

_LABELS = """async ([data, type, question]) => {
  const { server } = await import("./page/api.js");
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const { id } = await server.upload(new Blob([bytes], { type }));
  const { labels } = await server.files(id, { lht: null, ...question }, ["labels"]);
  return btoa(String.fromCharCode(...labels));
}"""


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter.from_pretrained("bundled", device="cpu", dtype="float32", text_cache=False)


@contextmanager
def hosted(root: Path) -> Iterator[str]:
    """Hand out the page in `project/demo`, below a path, as project pages of web hosts do."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/project/demo/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def site(segmenter: Segmenter, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Export the page and hand it out."""
    runtime = npm_package("onnxruntime-web")
    root = tmp_path_factory.mktemp("host")
    export_page(segmenter, root / "project" / "demo", runtime=runtime, compare=False)
    with hosted(root) as address:
        yield address


@contextmanager
def opened(browser: Any, site: str) -> Iterator[Any]:
    """Open the page; afterwards nothing may have failed or gone to another host."""
    own = browser.new_page(viewport={"width": 1280, "height": 900})
    own.set_default_timeout(120_000)  # milliseconds; machines may be busy
    troubles: list[str] = []
    own.on("pageerror", lambda error: troubles.append(str(error)))
    own.on("console", lambda m: troubles.append(m.text) if m.type == "error" else None)
    own.on("request", lambda r: r.url.startswith((site, "blob:")) or troubles.append(r.url))
    own.goto(site)
    own.wait_for_selector("#left-method")
    yield own
    own.close()
    assert not troubles


@pytest.fixture
def page(browser: Any, site: str) -> Iterator[Any]:
    with opened(browser, site) as own:
        yield own


def _labels(page: Any, data: bytes, question: dict[str, Any], kind: str = "image/png") -> Any:
    found = page.evaluate(_LABELS, [base64.b64encode(data).decode(), kind, question])
    return np.array(Image.open(io.BytesIO(base64.b64decode(found))))


def test_every_label_is_the_library_s(page: Any, segmenter: Segmenter, tmp_path: Path) -> None:
    """On scenes, and on a JPEG of another size that has to be resized, with a background."""
    for scene in bundled_scenes()[::6]:
        question = {"classes": [list(names) for names in scene.classes]}
        wanted = segmenter.segment(scene.image, [*question["classes"]])
        found = _labels(page, scene.image.read_bytes(), question | {"background": None})
        assert np.mean(found == wanted.labels) >= 0.9999, scene.name  # ties may fall otherwise
    scene = bundled_scenes()[3]
    path = tmp_path / "large.jpg"
    Image.open(scene.image).convert("RGB").resize((683, 512)).save(path, quality=90)
    classes = [list(names) for names in scene.classes[:4]]
    question = {"classes": classes, "background": "sky, wall", "threshold": 0.5}
    wanted = segmenter.segment(path, classes, background="sky, wall", threshold=0.5)
    found = _labels(page, path.read_bytes(), question, "image/jpeg")
    assert found.shape == (512, 683)
    assert np.array_equal(found, wanted.labels)


def test_a_visitor_s_way_through(page: Any, segmenter: Segmenter) -> None:
    scene = bundled_scenes()[1]
    words = ", ".join("|".join(names) for names in scene.classes)
    drop(page, "scene.png", scene.image.read_bytes())
    page.wait_for_selector("#left:not([hidden])")
    ask(page, words)
    result = segmenter.segment(scene.image, words)
    labels = np.array(Image.open(io.BytesIO(download(page, "labels"))))
    assert np.array_equal(labels, result.labels)
    assert download(page, "overlay")[:2] == b"\xff\xd8"
    shares = result.coverage()
    legend = page.locator("#legend .name").all_inner_texts()
    assert legend == sorted(result.names, key=lambda name: -shares[name])
    page.click("#left", position={"x": 60, "y": 60})
    page.wait_for_selector("#tip:not([hidden])")
    page.select_option("#show", "similarity")
    ask(page, "rocket")
    assert page.is_hidden("#api")
    assert page.is_hidden("#browse")


def test_errors_are_said_in_words(page: Any) -> None:
    drop(page, "broken.png", b"no image at all")
    page.wait_for_selector("#error:not([hidden])")
    assert "Convert it to PNG or JPEG" in page.inner_text("#error")
    page.click("#example")
    answered(page)
    page.fill("#words", "cat|dog, dog,")
    page.wait_for_selector("#error:not([hidden])")
    assert "prompt of both" in page.inner_text("#error")


def test_an_int8_page_labels_nearly_alike(
    browser: Any, segmenter: Segmenter, tmp_path: Path
) -> None:
    """Its graphs are a third as large; its labels are those of float32 but for a few pixels."""
    folder = tmp_path / "project" / "demo"
    runtime = npm_package("onnxruntime-web")
    export_page(segmenter, folder, runtime=runtime, int8=True, compare=False)
    weights = sum(each.nbytes for each in segmenter.checkpoint.model.state_dict().values())
    assert sum(each.stat().st_size for each in (folder / "model").glob("*.onnx")) < weights / 2
    with hosted(tmp_path) as address, opened(browser, address) as page:
        assert "(int8)" in page.inner_text("#model")
        for scene in bundled_scenes()[1:4]:
            question = {"classes": [list(names) for names in scene.classes], "background": None}
            found = _labels(page, scene.image.read_bytes(), question)
            wanted = segmenter.segment(scene.image, question["classes"]).labels
            assert np.mean(found == wanted) > 0.95, scene.name
