"""The process around a command: signals, standard streams and exit codes, as of other tools."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from lhtclip.cli.console import say
from lhtclip.errors import reason_of
from lhtclip.files.temporaries import remove_own

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # those that the platform has
_SIGNALS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))
_OF_A_SIGNAL = 128  # plus the signal's number is the exit code, as shells have it
_OF_A_STREAM = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
_PIPE = 13  # SIGPIPE, which Windows does not know


class Stopped(KeyboardInterrupt):
    """A signal asks the process to end; `number` says which."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextmanager
def signals_stop() -> Generator[list[int], None, None]:
    """Turn signals into `Stopped`; a second one ends the process at once, without leftovers.

    Signals that the caller ignores, as `nohup` does, stay ignored. Yields the signals received so
    far.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        received.append(number)
        for each in before:
            signal.signal(each, _stop_at_once)
        if _is_importing(frame):
            remove_own()
            os._exit(ended(Stopped(number)))
        raise Stopped(number)

    usual = (signal.SIG_DFL, signal.default_int_handler)
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    before = {number: handler for number, handler in before.items() if handler in usual}
    for number in before:
        signal.signal(number, stop)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_importing(frame: FrameType | None) -> bool:
    """Whether a module is being loaded: one in C++ aborts when an exception goes through it."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


@contextmanager
def signals_win(received: Sequence[int]) -> Generator[None, None, None]:
    """Turn errors after a signal into `Stopped`: libraries in C turn ours into some of their own.

    Raises:
        Stopped: There was a signal.
    """
    try:
        yield
    except Exception as error:
        if received:
            raise Stopped(received[0]) from error
        raise


def ended(error: BaseException) -> int:
    """Say in one line why the command stopped, and return the exit code."""
    number = error.number if isinstance(error, Stopped) else signal.SIGINT
    say("Interrupted." if number == signal.SIGINT else "Terminated.")
    return _OF_A_SIGNAL + number


def open_standard_streams() -> None:
    """Give the null device to streams that the caller closed.

    Otherwise the next file to be opened would take the stream's number, and what is written to the
    stream would end up in that file.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115


def refused(error: OSError) -> int:
    """Say what the system refused, and return the exit code.

    Errors of files have their names. Those without are of the current folder or of stdout, since
    writers of files raise `LhtClipError`. Whoever reads a pipe may stop at any time, which is not
    worth a word.

    Raises:
        OSError: It has no name and cannot be of stdout.
    """
    if error.filename is not None:
        name = os.fsencode(error.filename).decode("utf-8", "backslashreplace")
        say(f"Cannot use {name}: {reason_of(error)}.")
        return 2
    if error.errno == errno.ENOENT:
        say("The current folder has been removed: change to one that exists.")
        return 2
    if error.errno not in _OF_A_STREAM:
        raise error
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # for what is still to be flushed
    if isinstance(error, BrokenPipeError):
        return _OF_A_SIGNAL + _PIPE
    say(f"Cannot write to stdout: {reason_of(error)}.")
    return 2


def _stop_at_once(number: int, frame: FrameType | None) -> NoReturn:
    remove_own()
    with suppress(OSError):
        os.write(2, b"lhtclip: Stopped at once.\n")
    os._exit(_OF_A_SIGNAL + number)
