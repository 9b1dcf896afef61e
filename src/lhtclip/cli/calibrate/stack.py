"""The part of `lhtclip calibrate` that proposes gains without training: --stack."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lhtclip.calibration.stack import Names, StackSearch, search_stack
from lhtclip.cli.console import Progress, print_table, say
from lhtclip.evaluation.protocol import Protocol
from lhtclip.evaluation.runner import Running
from lhtclip.methods import Method
from lhtclip.paper.gains import GAINS, PRIOR, unsuited, with_gains

APART = (frozenset({"pamr", "tlp"}), frozenset({"background-word", "background-auto"}))


def options_of(names: Sequence[str], protocol: Protocol) -> str:
    """Return the options of other commands that switch gains on."""
    windows = with_gains(protocol, names).windows
    options = {
        "pamr": "--refine pamr",
        "tlp": "--refine tlp",
        "prior": f"--prior {PRIOR}",
        "texts": "--calibrate-texts",
        "flip": "--flip",
        "shifts": f"--shifts {windows.shifts}",
        "joint": "--joint-windows",
        "scales": f"--short-side {','.join(map(str, windows.short_sides))}",
        "aliases": "--aliases common",
        "background-word": "--background background",
        "background-auto": "--background auto",
    }
    return " ".join(options[name] for name in names)


def propose(
    score: Callable[[Protocol, Callable[[Running], None]], float],
    protocol: Protocol,
    method: Method,
    *,
    quiet: bool,
) -> StackSearch:
    """Search for a stack, and print what was measured and the options of the best one.

    Args:
        score: Measures the chosen settings of the techniques by a protocol.
        protocol: Without gains.
        method: Decides whether windows can be joined.
        quiet: Print no progress.
    """
    gains = [
        name
        for name in GAINS
        if unsuited(protocol, [name]) is None and (name != "joint" or method.joinable)
    ]

    def watched(names: Names) -> float:
        with Progress(f"images, {' + '.join(names) or 'no gain'}", quiet=quiet) as progress:

            def report(running: Running) -> None:
                progress(
                    running.done,
                    running.total,
                    already=running.already,
                    note=f"mIoU {100 * running.mean_iou:.2f}",
                )

            return score(with_gains(protocol, names), report)

    found = search_stack(gains, watched, apart=APART)
    print_table(
        ("gains", "mIoU %"),
        [(" + ".join(names) or "none", f"{value:.2f}") for names, value in found.scores.items()],
    )
    options = options_of(found.chosen, protocol)
    say(f"Gains that help together: {options}" if options else "No gain helps.")
    return found
