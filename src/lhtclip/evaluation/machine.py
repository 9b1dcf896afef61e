"""Versions and hardware behind a measurement, in JSON types."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from lhtclip import __version__


def versions() -> dict[str, str]:
    """Return the versions of everything that takes part in the computation."""
    return {
        "lhtclip": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "numpy", "pillow")},
    }


def hardware(device: torch.device) -> dict[str, Any]:
    """Return the processor, its cores and threads, and the accelerator of `device`."""
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "device": device.type,
        "system": f"{platform.system()} {platform.machine()}",
    }


def _cpu_name() -> str:
    """Return the processor's name, from a file on Linux and from Python on some systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()
