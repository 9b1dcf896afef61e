"""The published methods, one paper a file."""

from __future__ import annotations

from lhtclip.errors import unknown
from lhtclip.methods.clearclip import CLEARCLIP
from lhtclip.methods.clip import CLIP
from lhtclip.methods.clip_surgery import CLIP_SURGERY
from lhtclip.methods.gem import GEM
from lhtclip.methods.maskclip import MASKCLIP
from lhtclip.methods.method import LastBlock, Method
from lhtclip.methods.naclip import NACLIP
from lhtclip.methods.pearl import PEARL
from lhtclip.methods.resclip import RESCLIP
from lhtclip.methods.resclip_feedback import RESCLIP_SFR
from lhtclip.methods.scclip import SCCLIP
from lhtclip.methods.sclip import SCLIP

__all__ = ["METHODS", "LastBlock", "Method", "method_named"]

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
}


def method_named(name: str) -> Method:
    """Look a method up.

    Raises:
        UnknownNameError: There is no such method; the message lists those there are.
    """
    if name not in METHODS:
        raise unknown("method", name, METHODS)
    return METHODS[name]
