"""Run everything that needs a GPU, in one command of at most 9 minutes.

`python -m benchmarks.gpu` runs the tests that need one, then the benchmarks, each in its own
process with a time limit, and writes a dated table with the card's name into
docs/reports/performance.md.
`--train MINUTES` then trains the bundled model from its last checkpoint. `--rehearse` does the same
on the CPU with the bundled model, in under 3 minutes. In a checkout that is not installed, run
`PYTHONPATH=src python -m benchmarks.gpu`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks import report
from benchmarks.harness import Clock, Options
from benchmarks.results import Results

MINUTES = 9.0
REHEARSAL = 3.0  # minutes
START_UP = 20.0  # seconds besides a benchmark's budget: imports, models, CUDA itself
OUT = Path("runs/gpu")
TESTS = ("tests/test_gpu.py", "tests/decoding/test_fused.py")


@dataclass(frozen=True, slots=True)
class Part:
    """A benchmark and its options."""

    name: str
    share: float  # of the time left for measurements
    options: tuple[str, ...] = ()
    rehearsed: tuple[str, ...] = ()  # instead of these options


PARTS = (
    Part("tower", 4, ("--compile", "--dtypes", "bfloat16,float16"), ("--dtypes", "bfloat16")),
    Part("end_to_end", 3, ("--only", "VOC21"), ("--only", "VOC21", "--dtypes", "float32")),
    Part("decode", 2, (), ("--only", "VOC21")),
    Part("folder", 3, (), ("--photos", "3")),
    Part("server", 1),
)


def main(given: list[str] | None = None) -> int:
    """Run everything, and return 1 if a part failed."""
    found = _parser().parse_args(given)
    found.out = found.out.resolve()  # the parts run in the checkout
    rehearse: bool = found.rehearse
    clock = Clock(60 * (REHEARSAL if rehearse else found.minutes))
    if not rehearse and not torch.cuda.is_available():
        print("torch finds no GPU. Use --rehearse on a CPU.", file=sys.stderr)
        return 2
    for old in found.out.glob("*.json"):
        old.unlink()
    failed = [] if _tests(found.out, rehearse=rehearse) else ["tests"]
    training = 0.0 if rehearse else 60 * found.train
    shares = sum(part.share for part in PARTS)
    for part in PARTS:
        seconds = (clock.left - training) * part.share / shares
        shares -= part.share
        if not _measure(part, found.out, seconds, rehearse=rehearse):
            failed.append(part.name)
        if not rehearse:
            _write(found.out, found.page)  # after each part: what follows may fail
    if found.train and not _train(found, rehearse=rehearse, clock=clock):
        failed.append("training")
    print(f"\nAll: {clock.used / 60:.1f} minutes; failed: {', '.join(failed) or 'nothing'}")
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rehearse", action="store_true", help="on the CPU; writes no page")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="for everything")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the results")
    parser.add_argument("--page", type=Path, default=report.PAGE, help="the page to write")
    parser.add_argument(
        "--train", type=float, default=0.0, metavar="MINUTES", help="train, as part of --minutes"
    )
    parser.add_argument("--artwork", type=Path, default=Path("node_modules"), help="for --train")
    parser.add_argument(
        "--weights", type=Path, default=Path("runs/bundled"), help="folder of the checkpoint"
    )
    return parser


def _tests(out: Path, *, rehearse: bool) -> bool:
    """Run the tests that need a GPU and keep their result; on a CPU they are skipped."""
    device = torch.device("cpu" if rehearse else "cuda")
    options = Options(device, (torch.float32,), Clock(60), rehearse, "bundled", out)
    results = Results("gpu", options)
    done = _python(*("-m", "pytest", "-q", "-W", "default", *TESTS), limit=90)
    lines = done.stdout.strip().splitlines() if done else []
    print("\n".join(lines[-20:]), flush=True)
    passed = done is not None and done.returncode == 0
    last = lines[-1].strip("= ") if lines else "not done in 90 s"
    results.goal(" and ".join(TESTS), "all pass", last, reached=passed)
    results.save()
    return passed


def _measure(part: Part, out: Path, seconds: float, *, rehearse: bool) -> bool:
    print(f"\n===== {part.name}, {seconds:.0f} s", flush=True)
    if rehearse:
        arguments = ("--quick", "--model", "bundled", "--budget", "1", *part.rehearsed)
    else:
        budget = max(5.0, seconds - START_UP)
        arguments = ("--device", "cuda", "--budget", f"{budget:.0f}", *part.options)
    done = _python(
        *("-m", f"benchmarks.{part.name}", "--out", str(out), *arguments),
        limit=seconds + START_UP,
    )
    if done is None:
        print(f"{part.name}: not done in {seconds + START_UP:.0f} s", flush=True)
        return False
    print(done.stdout, flush=True)
    return done.returncode == 0


def _write(out: Path, page: Path) -> None:
    """Fill the page's part for GPUs; a page elsewhere is a filled copy."""
    if not page.exists():
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_bytes(report.PAGE.read_bytes())
    report.main(["--results", str(out), "--page", str(page)])


def _train(found: argparse.Namespace, *, rehearse: bool, clock: Clock) -> bool:
    """Train in the remaining time, but no longer than requested."""
    minutes = 0.1 if rehearse else min(found.train, (clock.left - START_UP) / 60)
    device = "cpu" if rehearse else "cuda"
    print(f"\n===== training, {minutes:.1f} minutes", flush=True)
    done = _python(
        *("-m", "training.train", "--artwork", str(found.artwork), "--out", str(found.weights)),
        *("--device", device, "--minutes", f"{minutes:.2f}"),
        limit=60 * minutes + 120,
    )
    print(done.stdout if done else "not done in time", flush=True)
    return done is not None and done.returncode == 0


def _python(*arguments: str, limit: float) -> subprocess.CompletedProcess[str] | None:
    """Run Python in the checkout; None if it takes longer than `limit` seconds."""
    checkout = report.PAGE.parents[2]
    paths = (str(checkout / "src"), os.environ.get("PYTHONPATH", ""))
    try:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=checkout,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=limit,
        )
    except subprocess.TimeoutExpired:
        return None


if __name__ == "__main__":
    sys.exit(main())
