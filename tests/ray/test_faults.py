"""A worker, a machine or the driver dies in the middle of a run: nothing is lost or doubled."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.ray.conftest import draw, files_of, node_settings

IMAGES = 64
MINUTES = 8
WORDS = ("--classes", "dog, sky", "--model", "bundled", "--templates", "plain")
FORMATS = ("--dtype", "float32", "--device", "cpu", "--format", "labels,scores,coco", "--quiet")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(IMAGES):
        draw(folder / f"{seed:03d}.png", seed, (96, 64))
    for chunk in range(0, IMAGES, 8):  # one in every chunk
        (folder / f"{chunk + 3:03d}.png").write_bytes(b"no picture")
    return folder


def start(photos: Path, out: Path, *more: str) -> subprocess.Popen[bytes]:
    arguments = ("segment", str(photos), *WORDS, *FORMATS, "--out", str(out), *more)
    return subprocess.Popen(
        [sys.executable, "-m", "lhtclip", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def end(process: subprocess.Popen[bytes]) -> None:
    """Wait for a run, whose exit code says that images have failed."""
    _, errors = process.communicate(timeout=60 * MINUTES)
    assert process.returncode == 1, errors.decode()


@pytest.fixture(scope="module")
def whole(cluster: Any, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The results of one process, on one thread."""
    out = tmp_path_factory.mktemp("whole")
    end(start(photos, out))
    return files_of(out)


@pytest.fixture
def address(cluster: Any) -> str:
    return cluster.address


def wait_for_images(out: Path, count: int) -> None:
    """Wait until so many images are done."""
    for _ in range(60 * MINUTES * 5):
        if sum(1 for _ in (out / ".lhtclip/images").glob("*.json")) >= count:
            return
        time.sleep(0.2)
    pytest.fail(f"fewer than {count} images were done after {MINUTES} minutes")


def workers() -> list[int]:
    """The process ids of the actors that label."""
    found: list[int] = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            title = (place / "cmdline").read_bytes()
        except OSError:
            continue
        if title.startswith(b"ray::") and b"LabelImages" in title:
            found.append(int(place.name))
    return found


def check(out: Path, whole: dict[str, bytes]) -> None:
    assert files_of(out) == whole
    lines = map(json.loads, (out / "manifest.jsonl").read_text().splitlines())
    states = [line["state"] for line in lines]
    assert (states.count("done"), states.count("failed")) == (IMAGES - 8, 8)


def test_an_actor_dies(photos: Path, whole: dict[str, bytes], address: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start(photos, out, "--ray", address, "--ray-workers", "1")
    wait_for_images(out, 8)
    (pid,) = workers()
    os.kill(pid, signal.SIGKILL)
    end(process)
    check(out, whole)


def test_the_driver_dies(
    photos: Path, whole: dict[str, bytes], address: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = start(photos, out, "--ray", address, "--ray-workers", "1")
    wait_for_images(out, 8)
    process.kill()
    process.wait()
    assert not (out / "coco").exists()
    end(start(photos, out, "--ray", address, "--ray-workers", "1"))
    check(out, whole)


def test_a_machine_dies(
    cluster: Any, photos: Path, whole: dict[str, bytes], address: str, tmp_path: Path
) -> None:
    out, second = tmp_path / "out", cluster.add_node(**node_settings(2))
    process = start(photos, out, "--ray", address, "--ray-workers", "2")
    wait_for_images(out, 8)
    cluster.remove_node(second, allow_graceful=False)
    end(process)
    check(out, whole)
