"""A real Ray cluster on this machine, started once; the tests skip where Ray is missing."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lhtclip import OutputError, SegmenterConfig, WindowSettings
from lhtclip.ray.results import FolderResults, Labelled, Outcome

SOURCE = Path(__file__).parents[2]


def _free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return opened.getsockname()[1]


def node_settings(cpus: int) -> dict[str, Any]:
    """A node small enough for a laptop."""
    return {
        "num_cpus": cpus,
        "object_store_memory": 150 << 20,
        "include_dashboard": False,
        "include_log_monitor": False,
        "no_monitor": True,
        "metrics_export_port": _free_port(),
    }


def _start() -> Any:
    """Start a node; Ray gives up after 15 seconds, which a busy machine may need again."""
    from ray.cluster_utils import Cluster

    for attempt in (1, 2, 3):
        started = Cluster()
        try:
            started.add_node(**node_settings(2))
        except Exception:
            started.shutdown()
            if attempt == 3:
                raise
        else:
            return started
    return None


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """A cluster of one node, joined by this process; all of it looks for S3 on this machine."""
    ray = pytest.importorskip("ray", reason="needs Ray: make test-ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{_free_port()}")
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("PYTHONPATH", f"{SOURCE / 'src'}{os.pathsep}{SOURCE}")
        started = _start()
        ray.init(address=started.address, log_to_driver=False, logging_level="ERROR")
        try:
            yield started
        finally:
            ray.shutdown()
            started.shutdown()


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> SegmenterConfig:
    """The bundled model with small windows, on one thread as in a worker."""
    return SegmenterConfig(
        model="bundled",
        device="cpu",
        dtype="float32",
        templates="plain",
        windows=WindowSettings(short_side=32, window=32, stride=32),
        text_cache=False,
    )


class FullDisk(FolderResults):
    """Results on a disk that has no room left."""

    def write(
        self, chunk: str, labelled: Labelled, outcomes: Sequence[Outcome]
    ) -> Iterator[Outcome]:
        raise OutputError(f"Cannot write into {self.out}: No space left on device.")


def draw(path: Path, seed: int, size: tuple[int, int] = (48, 32)) -> Path:
    """Write an image of coloured blocks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST).save(path)
    return path


def files_of(folder: Path) -> dict[str, bytes]:
    """All results of a run, without what only runs on many machines leave."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".lhtclip" not in path.parts and path.name != "manifest.jsonl"
    }


def actors(title: str) -> list[int]:
    """The process ids of the actors of a stage."""
    found: list[int] = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            command = (place / "cmdline").read_bytes()
        except OSError:
            continue
        if command.startswith(b"ray::") and title.encode() in command:
            found.append(int(place.name))
    return found
