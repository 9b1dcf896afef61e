"""The published methods, one paper a file."""

from __future__ import annotations

from lhtclip.errors import unknown
from lhtclip.methods.clearclip import CLEARCLIP
from lhtclip.methods.clip import CLIP
from lhtclip.methods.clip_surgery import CLIP_SURGERY
from lhtclip.methods.gem import GEM
from lhtclip.methods.maskclip import MASKCLIP
from lhtclip.methods.method import BlockInput, LastAttention, LastBlock, Method
from lhtclip.methods.naclip import NACLIP
from lhtclip.methods.pearl import PEARL
from lhtclip.methods.resclip import RESCLIP
from lhtclip.methods.resclip_feedback import RESCLIP_SFR
from lhtclip.methods.rfclip import RFCLIP
from lhtclip.methods.rfclip_paper import RFCLIP_PAPER
from lhtclip.methods.scclip import SCCLIP
from lhtclip.methods.sclip import SCLIP

__all__ = [
    "METHODS",
    "BlockInput",
    "LastAttention",
    "LastBlock",
    "Method",
    "method_named",
    "method_of",
]

METHODS: dict[str, Method] = {
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
    "pearl": PEARL,
    "rfclip": RFCLIP,
    "rfclip-paper": RFCLIP_PAPER,
}


def method_named(name: str) -> Method:
    """Look a method up.

    Raises:
        UnknownNameError: There is no such method; the message lists those there are.
    """
    if name not in METHODS:
        raise unknown("method", name, METHODS)
    return METHODS[name]


def method_of(method: str | Method) -> Method:
    """Return a method that is given as itself or by its name.

    Raises:
        UnknownNameError: There is no method of this name.
    """
    return method_named(method) if isinstance(method, str) else method
