"""Locks that a forked child can use."""

from __future__ import annotations

import os
import threading


def fork_safe_lock() -> threading.Lock:
    """Return a lock that is never held by a thread which a forked child does not have.

    A fork waits for the lock, so nothing may fork while it holds one.
    """
    lock = threading.Lock()
    if hasattr(os, "register_at_fork"):  # not on Windows, which has no forks
        os.register_at_fork(
            before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release
        )
    return lock
