"""The record of what acts."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from lhtclip.techniques.atr import AtrSettings
from lhtclip.techniques.settings import OFF, LhtSettings
from lhtclip.techniques.she import SheSettings
from lhtclip.techniques.ssr import SsrSettings

SSR, ATR, SHE = SsrSettings(layers=(3,)), AtrSettings(), SheSettings(heads=((2, 1),))


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        (OFF, "none"),
        (LhtSettings(ssr=SSR), "SSR"),
        (LhtSettings(atr=ATR), "ATR"),
        (LhtSettings(she=SHE), "SHE"),
        (LhtSettings(atr=ATR, she=SHE), "ATR+SHE"),
        (LhtSettings(SSR, ATR, SHE), "ATR+SSR+SHE"),
    ],
)
def test_named_as_in_tables(settings: LhtSettings, name: str) -> None:
    assert str(settings) == name


def test_off_is_the_default_and_nothing_can_be_changed_later() -> None:
    assert LhtSettings() == OFF
    with pytest.raises(FrozenInstanceError):
        OFF.ssr = SSR  # pyright: ignore[reportAttributeAccessIssue]
    assert hash(LhtSettings(SSR, ATR, SHE)) == hash(LhtSettings(SSR, ATR, SHE))
