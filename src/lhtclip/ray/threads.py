"""Threads of a Ray worker, which Ray does not limit by itself."""

from __future__ import annotations

import os

import torch


def use_threads(count: int | None) -> None:
    """Use this many CPU threads; None for as many as the worker has CPUs in Ray.

    Ray says in OMP_NUM_THREADS how many CPUs a worker has. Libraries that were loaded earlier do
    not look there any more, and without a limit all workers would use all cores of the machine.
    """
    given = os.environ.get("OMP_NUM_THREADS", "")
    threads = count or (int(given) if given.isdigit() else 0)
    if threads:
        torch.set_num_threads(threads)
