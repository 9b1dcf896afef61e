"""Which of the three techniques are on, and how: one frozen record for all of LHT-CLIP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from lhtclip.errors import check_kind
from lhtclip.techniques import TECHNIQUES
from lhtclip.techniques.atr import AtrSettings
from lhtclip.techniques.she import SheSettings
from lhtclip.techniques.ssr import SsrSettings


@dataclass(frozen=True, slots=True)
class LhtSettings:
    """Settings of the techniques; None switches one off.

    Their order is fixed: SSR inside the late layers, then ATR and SHE on the tokens that enter the
    last block.
    """

    ssr: SsrSettings | None = None
    atr: AtrSettings | None = None
    she: SheSettings | None = None

    def __post_init__(self) -> None:
        """Refuse settings of another technique.

        Raises:
            InputError: One is.
        """
        check_kind("ssr", self.ssr, SsrSettings, type(None))
        check_kind("atr", self.atr, AtrSettings, type(None))
        check_kind("she", self.she, SheSettings, type(None))

    def __str__(self) -> str:
        """Name the techniques that are on, as tables do."""
        return "+".join(name.upper() for name in TECHNIQUES if getattr(self, name)) or "none"


OFF = LhtSettings()

# What a user may ask for: all techniques as in the preset (True) or none (False); exactly these
# settings; or the preset's with changes, such as {"atr": False} or {"ssr": SsrSettings((10, 11))}.
# True for a single technique requires it: an error if the preset has no settings for it. For ATR, a
# name in ATR_JUDGES switches it on and says how it finds abnormal tokens.
Lht: TypeAlias = (
    bool | LhtSettings | Mapping[str, bool | str | SsrSettings | AtrSettings | SheSettings]
)
