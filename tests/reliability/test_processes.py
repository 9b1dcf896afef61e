"""Forks, kills at awkward moments, and what users do with embeddings afterwards."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lhtclip import Segmenter, WindowSettings, files, label_files
from lhtclip.batch.convert import convert_files
from lhtclip.encoded_image import MAPS
from lhtclip.errors import InputError
from lhtclip.formats import SINKS

CLASSES = ["cat", "grass", "sky"]
FORMATS = [name for name in SINKS if name != "parquet" or find_spec("pyarrow")]
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no forks")


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter.from_pretrained(
        "bundled",
        dtype="float32",
        templates="plain",
        text_cache=False,
        windows=WindowSettings(short_side=32, window=32, stride=32),
    )


def image(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (40, 56, 3), dtype=np.uint8)


def exit_code(work: Callable[[], object], *, seconds: int = 30) -> int:
    """Run something in a forked child, and kill it if it hangs."""
    child = os.fork()
    if child == 0:
        signal.alarm(seconds)
        try:
            work()
            os._exit(0)
        except InputError:
            os._exit(2)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@needs_fork
def test_a_forked_child_labels_as_its_parent(segmenter: Segmenter) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(4)  # whose work a child would wait for in vain
    try:
        torch.mm(torch.rand(400, 400), torch.rand(400, 400))
        expected = segmenter.segment(image(), CLASSES).labels

        def label() -> None:
            again = segmenter.segment(image(), CLASSES).labels
            assert torch.get_num_threads() == 1
            np.testing.assert_array_equal(again, expected)

        assert exit_code(label) == 0
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(threads)


@needs_fork
def test_an_engine_with_threads_of_its_own_refuses_to_be_forked(segmenter: Segmenter) -> None:
    class Runner:
        engine = "onnx"

        def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
            return segmenter.encoder(pixels)

    forked = Segmenter(segmenter.checkpoint, segmenter.encoder, segmenter.texts, runner=Runner())
    assert exit_code(lambda: forked.encode(image())) == 2
    forked.encode(image())


def test_embeddings_can_be_trained_on(segmenter: Segmenter) -> None:
    embeddings = segmenter.encode(image()).embeddings
    texts = segmenter.texts.encode(CLASSES)
    probe = torch.nn.Linear(embeddings.shape[-1], embeddings.shape[-1])
    (probe(embeddings) @ texts.T).sum().backward()
    assert probe.weight.grad is not None
    assert probe.weight.grad.abs().sum() > 0


def content(folder: Path) -> dict[str, bytes]:
    """Return all files but the lock, by name."""
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if path.name != "lock"}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    for number in range(3):
        Image.fromarray(image(number)).save(tmp_path / f"photos/{number}.png")
    return tmp_path / "photos"


def check_kills(work: Callable[[Path], object], folder: Path) -> None:
    """Kill some work between the renames of its files, let it go on, and compare all files."""

    def work_until(out: Path, moment: int) -> None:
        seen, replace = 0, os.replace

        def counted(source: Path, target: Path) -> None:
            nonlocal seen
            seen += 1
            if seen == moment:
                os.kill(os.getpid(), signal.SIGKILL)
            replace(source, target)

        files.os.replace = counted
        work(out)

    expected = folder / "undisturbed"
    work(expected)
    renamed = len(content(expected))
    for moment in {1, 2, renamed // 2, renamed - 1, renamed}:
        out = folder / f"killed-{moment}"
        assert exit_code(lambda: work_until(out, moment)) == -signal.SIGKILL  # noqa: B023
        assert list(out.rglob(".lhtclip-*")), "the kill came between files"
        work(out)
        assert content(out) == content(expected)


@needs_fork
def test_a_run_killed_at_any_moment_ends_as_an_undisturbed_one(
    segmenter: Segmenter, photos: Path, tmp_path: Path
) -> None:
    check_kills(
        lambda out: label_files(photos, CLASSES, out, segmenter=segmenter, formats=FORMATS),
        tmp_path,
    )


@needs_fork
def test_a_conversion_killed_at_any_moment_ends_as_an_undisturbed_one(
    segmenter: Segmenter, photos: Path, tmp_path: Path
) -> None:
    label_files(photos, CLASSES, tmp_path / "masks", segmenter=segmenter, formats=["labels"])
    formats = [name for name in FORMATS if name not in MAPS]
    check_kills(
        lambda out: convert_files(tmp_path / "masks", out, formats, images=photos), tmp_path
    )
