"""What a request leaves as the server has it makes no further variant, so nothing runs again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from lhtclip import WindowSettings
from lhtclip.server.schemas import Gains, Techniques
from lhtclip.server.variants import Variant, Variants

BASE = SimpleNamespace(
    encoder=SimpleNamespace(
        method=SimpleNamespace(name="sclip"), lht=SimpleNamespace(ssr="s", atr="a", she=None)
    ),
    checkpoint=SimpleNamespace(name="a model", preset=SimpleNamespace(ssr="s", atr="a", she=None)),
    windows=WindowSettings(flip=True),
)
ALL = Techniques(ssr=True, atr=True, she=True)


@pytest.mark.parametrize(
    ("asked", "variant"),
    [
        ((None, None), Variant()),
        (("sclip", True), Variant()),  # no heads are ranked, so SHE stays off
        (("sclip", ALL, Gains(flip=True, short_side=[336], prior=0.3)), Variant()),
        (("naclip", Techniques(she=False)), Variant("naclip")),
        ((None, Techniques(atr=False)), Variant(switches=frozenset({("atr", False)}))),
        ((None, Techniques(atr="hoyer")), Variant(switches=frozenset({("atr", "hoyer")}))),
        (
            (None, None, Gains(flip=False, short_side=[336, 448])),
            Variant(windows=frozenset({("flip", False), ("short_side", (336, 448))})),
        ),
    ],
)
def test_variants_have_only_what_differs(asked: tuple[Any, ...], variant: Variant) -> None:
    variants = Variants(cast("Any", BASE), lambda base, _: base)
    assert variants.asked(*asked) == variant
