"""A campaign of abuse for a given time: `python -m tests.soak --minutes 30`, or `make soak`.

Prints what was done and what failed, as Markdown for docs/reports; exits with 1 after a failure.
Needs a system with forks.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch

from tests.soak.stages import STAGES


def main() -> int:
    """Run all stages, or those named, each for its share of the time."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("stages", nargs="*", default=[*STAGES], metavar="STAGE")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)  # threads would not survive a fork
    counts: Counter[str] = Counter()
    failures: list[str] = []
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"LHTCLIP_CACHE": f"{folder}/cache", "HF_HUB_OFFLINE": "1"}
        os.chdir(folder)
        for name in options.stages:
            print(f"{name} ...", file=sys.stderr, flush=True)
            seconds = 60 * options.minutes / len(options.stages)
            tally = STAGES[name](random.Random(options.seed), seconds, Path(folder, name))
            counts += tally.counts
            failures += tally.failures
    stages = "" if options.stages == [*STAGES] else f" {' '.join(options.stages)}"
    print(f"`python -m tests.soak{stages} --minutes {options.minutes:g} --seed {options.seed}`")
    print(
        f"\n| what, in {(time.monotonic() - start) / 60:.0f} minutes | how often |\n| --- | --- |"
    )
    for what, count in sorted(counts.items()):
        print(f"| {what} | {count:,} |")
    print(f"| failures | {len(failures)} |\n")
    for failure in failures:
        print(f"- {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
