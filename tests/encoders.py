"""Encoders of the tiny model, and the same written out slowly to compare with."""

from __future__ import annotations

import torch
from torch import Tensor

from lhtclip.encoder import DenseEncoder
from lhtclip.techniques.atr import AtrSettings
from lhtclip.techniques.settings import LhtSettings
from lhtclip.techniques.she import SheSettings
from lhtclip.techniques.ssr import SsrSettings
from tests import literal
from tests.models import tiny_clip

MODEL = tiny_clip()
HEADS_CHOSEN = ((3, 2), (2, 4), (3, 1), (4, 3))
SSR = SsrSettings(layers=(3, 4), alpha=0.2)
ATR = AtrSettings(threshold=0.24)  # random tokens score about 0.23
SHE = SheSettings(heads=HEADS_CHOSEN, beta=0.2)
ALL = LhtSettings(SSR, ATR, SHE)
TWO_LAYERS = LhtSettings(  # all techniques, in a tower of two layers
    SsrSettings(layers=(1,), alpha=0.2), ATR, SheSettings(heads=((1, 2), (1, 4), (1, 1)), beta=0.2)
)


def through(blocks: int, pixels: Tensor) -> Tensor:
    """Return the residual stream after so many blocks of CLIP itself."""
    x = MODEL.vision.embed(pixels)
    for block in list(MODEL.vision.blocks)[:blocks]:
        x = block(x)
    return x


def assert_as_slowly(encoder: DenseEncoder, pixels: Tensor) -> None:
    """Compare with the literal version."""
    expected = literal.encode(
        pixels,
        encoder.model,
        method=encoder.method.name,
        lht=encoder.lht,
        residual=encoder.residual,
        mlp_kept=encoder.mlp,
    )
    given = encoder(pixels)
    torch.testing.assert_close(given, torch.from_numpy(expected).float(), rtol=0, atol=1e-5)
