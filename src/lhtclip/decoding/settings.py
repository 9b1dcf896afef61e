"""The settings that turn logits into labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from lhtclip.decoding.aliases import AliasSettings
from lhtclip.decoding.pamr import PamrSettings
from lhtclip.decoding.ptc import PtcSettings
from lhtclip.decoding.tlp import TlpSettings
from lhtclip.errors import InputError, is_number


@dataclass(frozen=True, slots=True)
class DecodeSettings:
    """How logits become labels.

    Attributes:
        logit_scale: Factor on the cosines before the softmax.
        threshold: Pixels whose winning probability is below it become class 0 (prob_thd).
        area_threshold: Drops foreground classes that cover at most this share of the foreground
            (area_thd); 0 keeps all. The foreground is every class except 0.
        pamr: Refines the logits along the edges of the image before the softmax; None does not.
        tlp: Propagates the logits over the image before the softmax, another way to refine them;
            None does not.
        prior: Weight w of the class prior, from -1 to below 1: logits become (1 - w) of their own
            and w times the cosines of the whole image's feature. 0 switches it off.
        aliases: Lets all prompts of a class count together; None takes the best of them.
        ptc: Moves prompts towards the patches of the image that they surely match; None does not.
    """

    logit_scale: float = 40.0
    threshold: float = 0.0
    area_threshold: float = 0.0
    pamr: PamrSettings | None = None
    tlp: TlpSettings | None = None
    prior: float = 0.0
    aliases: AliasSettings | None = None
    ptc: PtcSettings | None = None

    def __post_init__(self) -> None:
        """Refuse a scale that is not positive, and shares outside of [0, 1]."""
        if not (is_number(self.logit_scale) and self.logit_scale > 0):
            raise InputError(f"logit_scale must be above 0, not {self.logit_scale!r}.")
        for name in ("threshold", "area_threshold"):
            if not (is_number(getattr(self, name)) and 0 <= getattr(self, name) <= 1):
                raise InputError(f"{name} must lie in [0, 1], not {getattr(self, name)!r}.")
        if not isinstance(cast("object", self.pamr), PamrSettings | None):
            raise InputError(f"pamr must be PamrSettings or None, not {self.pamr!r}.")
        if not isinstance(cast("object", self.tlp), TlpSettings | None):
            raise InputError(f"tlp must be TlpSettings or None, not {self.tlp!r}.")
        if not isinstance(cast("object", self.aliases), AliasSettings | None):
            raise InputError(f"aliases must be AliasSettings or None, not {self.aliases!r}.")
        if not isinstance(cast("object", self.ptc), PtcSettings | None):
            raise InputError(f"ptc must be PtcSettings or None, not {self.ptc!r}.")
        if self.pamr and self.tlp:
            raise InputError("PAMR and TLP both refine the logits: choose one of them.")
        if not (is_number(self.prior) and -1 <= self.prior < 1):
            raise InputError(f"prior must lie from -1 to below 1, not {self.prior!r}.")
