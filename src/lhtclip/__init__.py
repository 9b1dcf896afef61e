"""LHT-CLIP: a frozen CLIP labels every pixel with one of your words (arXiv 2510.23894).

The public names are listed in `__init__.pyi`. Nothing is imported before it is asked for, so that
`lhtclip --help` answers without waiting for torch.
"""

from __future__ import annotations

import lazy_loader  # pyright: ignore[reportMissingTypeStubs]

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
