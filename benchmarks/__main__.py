"""Run all benchmarks, or some by name, each in its own process: `python -m benchmarks [NAME]`."""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks import NAMES


def main(arguments: list[str]) -> int:
    """Run the named benchmarks, or all; further options, such as --quick, go to each of them."""
    named = [argument for argument in arguments if argument in NAMES]
    others = [argument for argument in arguments if argument not in NAMES]
    failed: list[str] = []
    began = time.monotonic()
    for name in named or NAMES:
        print(f"\n===== {name}", flush=True)
        started = time.monotonic()
        done = subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *others], check=False)
        print(f"\n{name}: {time.monotonic() - started:.0f} s", flush=True)
        if done.returncode:
            failed.append(name)
    print(f"\nAll: {(time.monotonic() - began) / 60:.1f} minutes", flush=True)
    if failed:
        print(f"Failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
