"""Work in forked children: whatever becomes of it, the campaign goes on."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child ended: its exit code, negative for a signal, and what it wrote to stderr."""

    code: int
    stderr: str

    @property
    def broken(self) -> bool:
        """Whether it ended in a traceback, a crash or a hang."""
        return self.code not in (0, 1, 2) or "Traceback" in self.stderr


def run_in_child(
    work: Callable[[], int | None],
    *,
    seconds: float = 120,
    kill_after: float | None = None,
    by: signal.Signals = signal.SIGKILL,
) -> Ended:
    """Fork, work, and wait.

    Args:
        work: Returns the exit code; None is 0.
        seconds: After which a hanging child is ended by SIGALRM.
        kill_after: Seconds after which the child gets a signal, if it still runs.
        by: The signal.
    """
    with tempfile.TemporaryFile() as caught:
        child = os.fork()
        if child == 0:
            os.dup2(caught.fileno(), 2)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
            sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
            _work(work, seconds)
        if kill_after is not None and not _ends_within(child, kill_after):
            os.kill(child, by)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        caught.seek(0)
        return Ended(code, caught.read().decode("utf-8", "replace"))


def _ends_within(child: int, seconds: float) -> bool:
    """Wait, and leave the child's exit code to be asked for."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return True
        time.sleep(0.001)
    return False


def _work(work: Callable[[], int | None], seconds: float) -> None:
    code = 70
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        code = work() or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)
