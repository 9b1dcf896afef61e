"""Last-block rules of the published methods, one paper a file."""

from __future__ import annotations

from lhtclip.attention.clearclip import CLEARCLIP
from lhtclip.attention.clip import CLIP
from lhtclip.attention.clip_surgery import CLIP_SURGERY
from lhtclip.attention.gem import GEM
from lhtclip.attention.maskclip import MASKCLIP
from lhtclip.attention.naclip import NACLIP
from lhtclip.attention.resclip import RESCLIP
from lhtclip.attention.resclip_feedback import RESCLIP_SFR
from lhtclip.attention.rule import Context, FirstRun, LastAttention, LastBlockRule
from lhtclip.attention.scclip import SCCLIP
from lhtclip.attention.sclip import SCLIP
from lhtclip.errors import unknown

__all__ = ["RULES", "Context", "FirstRun", "LastAttention", "LastBlockRule", "rule_named"]

RULES: dict[str, LastBlockRule] = {
    "clip": CLIP,
    "maskclip": MASKCLIP,
    "sclip": SCLIP,
    "clearclip": CLEARCLIP,
    "naclip": NACLIP,
    "resclip": RESCLIP,
    "resclip-sfr": RESCLIP_SFR,
    "scclip": SCCLIP,
    "gem": GEM,
    "clip-surgery": CLIP_SURGERY,
}


def rule_named(name: str) -> LastBlockRule:
    """Look a method up.

    Raises:
        UnknownNameError: There is no such method; the message lists those there are.
    """
    if name not in RULES:
        raise unknown("method", name, RULES)
    return RULES[name]
