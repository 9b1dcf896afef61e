"""The three techniques of LHT-CLIP (arXiv 2510.23894), one file each, and their presets."""

from __future__ import annotations

# Fields of `LhtSettings` and what they stand for, in the order of tables. They are here so that the
# command line can list them without importing torch.
TECHNIQUES: dict[str, str] = {
    "atr": "Abnormal token replacement",
    "ssr": "Spatial-semantic reweighting",
    "she": "Selective head enhancement",
}

# How ATR can find abnormal tokens.
ATR_JUDGES = ("hoyer", "channels")
