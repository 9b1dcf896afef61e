"""`python -m lhtclip` is the command `lhtclip`."""

from __future__ import annotations

import sys


def run() -> int:
    """Run the command line; Ctrl-C is one line even before the commands are there."""
    try:
        from lhtclip.cli import main

        return main()
    except KeyboardInterrupt:
        print("lhtclip: Interrupted.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(run())
