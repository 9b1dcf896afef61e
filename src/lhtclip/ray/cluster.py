"""Joins or starts a Ray cluster, and plans how many workers it has room for."""

from __future__ import annotations

import logging
import os
import re
import socket
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lhtclip.errors import InputError
from lhtclip.extras import import_extra
from lhtclip.files.fields import check_fields

_FREE = 1.0  # CPUs that reading and writing need in addition to the workers
_PATIENCE = 5.0  # seconds for a cluster's port to answer; Ray itself waits for minutes


@dataclass(frozen=True, slots=True)
class Workers:
    """The actors that label, and what each of them holds.

    Attributes:
        count: Number of actors.
        cpus: CPUs of each, which are its threads.
        gpus: GPUs of each; parts of one can be shared.
        free: CPUs left over: that many tasks read at once, and as many write.
    """

    count: int
    cpus: int = 1
    gpus: float = 0.0
    free: int = 1


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a user wants of the workers; None leaves it to the cluster's size.

    Attributes:
        count: Number of workers; by default as many as there are GPUs, or CPUs.
        cpus: CPUs of each.
        gpus: GPUs of each; by default 1 if the cluster has any.

    Raises:
        InputError: A number out of range.
    """

    count: int | None = None
    cpus: int = 1
    gpus: float | None = None

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        check_fields(self)
        if (self.count is not None and self.count < 1) or self.cpus < 1 or (self.gpus or 0) < 0:
            raise InputError(
                "Workers need to be at least 1, with at least 1 CPU and at least 0 GPUs each, not "
                f"{self.count} with {self.cpus} and {self.gpus}."
            )


@contextmanager
def connected(address: str | None) -> Generator[Any, None, None]:
    """Join a cluster, or start one on this machine if there is none; yields the module `ray`.

    Args:
        address: As for `ray.init`; None or "auto" for the cluster of $RAY_ADDRESS or this machine,
            or else a new one.

    Raises:
        MissingDependencyError: Ray is not installed.
        InputError: There is no such cluster.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # which would be sent to its makers
    ray = import_extra("ray", purpose="Runs on many machines")
    import_extra("ray.data", purpose="Runs on many machines")
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # it describes its plans otherwise
    already = ray.is_initialized()
    if not already:
        found = _address_of(address)
        try:
            _knock(found)
            ray.init(address=found, log_to_driver=False, logging_level="ERROR")
        except Exception as error:  # Ray raises errors of many kinds
            raise InputError(
                f"Cannot join a Ray cluster at {found}: {error} Give its "
                "address (--ray HOST:6379), or start one with `ray start --head`."
            ) from error
    try:
        yield ray
    finally:
        if not already:
            ray.shutdown()


def _address_of(given: str | None) -> str:
    """Return the cluster that a user means; "local" starts a new one."""
    if given not in (None, "", "auto"):
        return str(given)
    if (named := os.environ.get("RAY_ADDRESS")) not in (None, "", "auto"):
        return str(named)
    return _running_here() or "local"


def _running_here() -> str | None:
    """Return the cluster that `ray start` noted on this machine, unless it has gone since."""
    folder = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir())
    try:
        noted = (folder / "ray" / "ray_current_cluster").read_text(encoding="utf-8").strip()
        _knock(noted)
    except (OSError, ValueError):
        return None
    return noted or None


def _knock(address: str) -> None:
    """Connect to HOST:PORT or ray://HOST:PORT once; leave other addresses to Ray.

    Raises:
        OSError: Nothing answers.
    """
    if found := re.fullmatch(r"(?:ray://)?\[?([^/\]]+)\]?:(\d{1,5})", address):
        with socket.create_connection((found[1], int(found[2])), timeout=_PATIENCE):
            pass


def machines_of(ray: Any) -> list[Mapping[str, float]]:
    """Return the resources of each machine of the cluster that runs now."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def plan_workers(machines: Sequence[Mapping[str, float]], wanted: WorkerSettings) -> Workers:
    """Plan workers for a cluster, so that reading and writing always find a free CPU.

    Ray itself would wait forever, without a word, if the actors took every CPU, or if one needed
    more than any machine has.

    Args:
        machines: The resources of each, as `machines_of` gives them.
        wanted: What the user wants.

    Raises:
        InputError: The cluster is too small; the message has the figures.
    """
    cpus, all_gpus = (sum(each.get(name, 0.0) for each in machines) for name in ("CPU", "GPU"))
    gpus = wanted.gpus if wanted.gpus is not None else float(all_gpus >= 1)
    fitting = (_fitting(each, wanted.cpus, gpus) for each in machines)
    room = max(0, min(sum(fitting), int((cpus - _FREE) // wanted.cpus)))
    count = wanted.count or max(room, 1)
    if count > room:
        raise InputError(
            f"The cluster has {cpus:g} CPUs and {all_gpus:g} GPUs on {len(machines)} machines. "
            f"With a CPU left for reading and writing, there is room for {room} workers of "
            f"{wanted.cpus} CPUs and {gpus:g} GPUs, but not for {count}. Use fewer workers "
            "(--ray-workers), fewer CPUs each (--ray-cpus), or a larger cluster."
        )
    return Workers(count, wanted.cpus, gpus, int(cpus - count * wanted.cpus))


def _fitting(machine: Mapping[str, float], cpus: int, gpus: float) -> int:
    """Return how many workers a machine has room for."""
    room = int(machine.get("CPU", 0.0) // cpus)
    return min(room, int(machine.get("GPU", 0.0) // gpus)) if gpus else room


def spilled_bytes(ray: Any) -> int:
    """Return how many bytes the machines have written from their object stores to disks so far.

    Ray has no public call for it, so this asks as Ray Data does, and counts 0 if that changes.
    """
    try:
        internal_api = import_extra("ray._private.internal_api", purpose="Runs on many machines")
        state = internal_api.get_state_from_address(ray.get_runtime_context().gcs_address)
        return int(internal_api.get_memory_info_reply(state).store_stats.spilled_bytes_total)
    except Exception:  # whatever a private interface raises
        return 0
