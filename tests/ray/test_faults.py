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

from tests.ray.conftest import actors, draw, files_of, node_settings

IMAGES = 64
MINUTES = 8
LARGE = (1200, 1600)  # pixels of images of which a chunk fills the smallest object store
SMALL_STORE = 80 << 20
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


def check(out: Path, whole: dict[str, bytes]) -> None:
    assert files_of(out) == whole
    lines = map(json.loads, (out / "manifest.jsonl").read_text().splitlines())
    states = [line["state"] for line in lines]
    assert (states.count("done"), states.count("failed")) == (IMAGES - 8, 8)


def test_an_actor_dies(photos: Path, whole: dict[str, bytes], address: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start(photos, out, "--ray", address, "--ray-workers", "1")
    wait_for_images(out, 8)
    (pid,) = actors("LabelImages")
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
    process.communicate()
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


def test_the_output_becomes_read_only(
    photos: Path, whole: dict[str, bytes], address: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    process = start(photos, out, "--ray", address, "--ray-workers", "1")
    wait_for_images(out, 8)
    if not mount("--bind", str(out), str(out)):
        process.kill()
        process.communicate()
        pytest.skip("needs the right to mount file systems")
    try:
        while not mount("-o", "remount,bind,ro", str(out)):  # a file is being written
            assert process.poll() is None
        _, errors = process.communicate(timeout=60 * MINUTES)
    finally:
        subprocess.run(["umount", "--lazy", str(out)], check=True)
    assert process.returncode == 2
    said = errors.decode()
    assert said.count("lhtclip: Cannot write") == said.count("Read-only file system") == 1, said
    assert "Traceback" not in said
    end(start(photos, out, "--ray", address, "--ray-workers", "1"))
    check(out, whole)


def mount(*arguments: str) -> bool:
    try:
        return not subprocess.run(["mount", *arguments], stderr=subprocess.DEVNULL).returncode
    except OSError:
        return False


IN_A_SMALL_STORE = """
import sys
import ray
from lhtclip.cli import main

size, *arguments = sys.argv[1:]
own = {"address": "local", "num_cpus": 2, "include_dashboard": False, "log_to_driver": False}
ray.init(object_store_memory=int(size), **own)
sys.exit(main(arguments))
"""


@pytest.mark.usefixtures("cluster")  # for its environment
def test_the_object_store_is_full(tmp_path: Path) -> None:
    for seed in range(24):
        draw(tmp_path / f"photos/{seed:02d}.png", seed, LARGE)
    given = ("segment", str(tmp_path / "photos"), *WORDS, *FORMATS)
    one = subprocess.run([sys.executable, "-m", "lhtclip", *given, "--out", str(tmp_path / "one")])
    assert one.returncode == 0
    run = [sys.executable, "-c", IN_A_SMALL_STORE, str(SMALL_STORE), *given]
    run += ["--out", str(tmp_path / "out"), "--ray", "--ray-workers", "1", "--json"]
    done = subprocess.run(run, capture_output=True, text=True, timeout=60 * MINUTES)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["done"] == 24
    assert files_of(tmp_path / "out") == files_of(tmp_path / "one")
