"""`python -m lhtclip` is the command `lhtclip`."""

from __future__ import annotations

import sys

from lhtclip.cli import main

if __name__ == "__main__":
    sys.exit(main())
