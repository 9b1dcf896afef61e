"""Last-block rules of the published methods, one paper a file."""

from __future__ import annotations

from lhtclip.attention.clearclip import CLEARCLIP
from lhtclip.attention.clip import CLIP
from lhtclip.attention.maskclip import MASKCLIP
from lhtclip.attention.naclip import NACLIP
from lhtclip.attention.rule import Context, LastAttention, LastBlockRule
from lhtclip.attention.sclip import SCLIP
from lhtclip.errors import unknown

__all__ = ["RULES", "Context", "LastAttention", "LastBlockRule", "rule_named"]

RULES: dict[str, LastBlockRule] = {
    "clip": CLIP,
    "maskclip": MASKCLIP,
    "sclip": SCLIP,
    "clearclip": CLEARCLIP,
    "naclip": NACLIP,
}


def rule_named(name: str) -> LastBlockRule:
    """Look a method up.

    Raises:
        UnknownNameError: There is no such method; the message lists those there are.
    """
    if name not in RULES:
        raise unknown("method", name, RULES)
    return RULES[name]
