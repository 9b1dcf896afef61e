"""How long it takes until anything happens: imports, and the command's help.

`python -m benchmarks.startup` starts fresh processes; `--help` must not import torch.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

from benchmarks.harness import Options, Times, read_options
from benchmarks.results import Results, duration, spread

BUDGET = 20.0  # seconds
GOAL = 0.3  # seconds, for each
_IMPORT = """
import time, torch
started = time.perf_counter()
{}
print(time.perf_counter() - started)
"""
IMPORTS = {
    "import lhtclip, beyond torch": "import lhtclip",
    "from lhtclip import Segmenter, beyond torch": "from lhtclip import Segmenter",
}
HELP = "lhtclip --help, the whole process"
PYTHON = "python alone, the whole process"
_HELP = (
    "import sys; from lhtclip.cli import main; main(['--help']); sys.exit('torch' in sys.modules)"
)


def main(given: list[str] | None = None) -> Results:
    """Measure, print and save."""
    options, _ = read_options(__doc__, budget=BUDGET, given=given)
    results = Results("startup", options)
    times = _measure(options)
    results.keep("startup", times)
    results.table("Fresh processes", ("", "time"), [(n, spread(t)) for n, t in times.items()])
    for name in (*IMPORTS, HELP):
        seconds = times[name].median
        results.goal(name, f"under {duration(GOAL)}", duration(seconds), reached=seconds < GOAL)
    clean = _run("-c", _HELP, check=False).returncode == 0
    results.goal(
        "lhtclip --help",
        "torch not imported",
        "not imported" if clean else "imported",
        reached=clean,
    )
    results.save()
    return results


def _measure(options: Options) -> dict[str, Times]:
    seconds: dict[str, list[float]] = {name: [] for name in (*IMPORTS, HELP, PYTHON)}
    last = 0.0
    rounds = 0
    while rounds < 2 or (options.clock.left > last and rounds < 12):
        started = time.perf_counter()
        for name, statement in IMPORTS.items():
            seconds[name].append(float(_run("-c", _IMPORT.format(statement)).stdout))
        seconds[HELP].append(_timed("-m", "lhtclip", "--help"))
        seconds[PYTHON].append(_timed("-c", ""))
        last = time.perf_counter() - started
        rounds += 1
    return {
        name: Times(tuple(each[1:])) for name, each in seconds.items()
    }  # the first fills caches


def _timed(*arguments: str) -> float:
    started = time.perf_counter()
    _run(*arguments)
    return time.perf_counter() - started


def _run(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=check,
        timeout=120,
    )


if __name__ == "__main__":
    main()
