"""ResCLIP: the last block borrows the attention of middle layers (arXiv 2411.15851).

This is residual cross-correlation self-attention (RCS). The paper's other half, semantic feedback
(SFR), changes the base's scores by a first segmentation; `update` takes that change as a gain and a
bias and does not know where it comes from.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor

from lhtclip.errors import InputError, check_kind, is_number, unknown
from lhtclip.files.fields import check_fields
from lhtclip.methods.clearclip import CLEARCLIP
from lhtclip.methods.method import LastBlock, Method
from lhtclip.methods.naclip import NACLIP, NaclipSettings, neighbourhood
from lhtclip.methods.sclip import SCLIP

BASES = {"naclip": NACLIP, "sclip": SCLIP, "clearclip": CLEARCLIP}


@dataclass(frozen=True, slots=True)
class RcsSettings:
    """Settings of RCS.

    Attributes:
        base: The method whose attention is mixed with the borrowed one.
        scale: τ, which the mixture is multiplied by; 2 in all published settings.
        share: λ, how much is borrowed, 0 to 1. The published values are 0.2 to 0.6 by data set,
            mostly 0.3 or 0.4.
        layers: 1-based layers that are borrowed from. None takes the third of the tower that the
            paper's 6 to 9 of 12 are, which is 11 to 18 of 24; the released code always takes 6 to
            9.
        sigma: Width in patches of the base's neighbourhood, for the base "naclip" only.
    """

    base: Literal["naclip", "sclip", "clearclip"] = "naclip"
    scale: float = 2.0
    share: float = 0.3
    layers: tuple[int, ...] | None = None
    sigma: float = NaclipSettings().sigma

    def __post_init__(self) -> None:
        """Refuse unknown bases and numbers outside their range."""
        check_fields(self, "layers")
        check_kind("base", self.base, str)
        if cast("str", self.base) not in BASES:
            raise unknown("base of ResCLIP", self.base, BASES)
        for name in ("scale", "sigma"):
            value = getattr(self, name)
            if not (is_number(value) and value > 0):
                raise InputError(f"ResCLIP's {name} must be above 0, not {value!r}.")
        if not (is_number(self.share) and 0 <= self.share <= 1):
            raise InputError(f"ResCLIP's share must be from 0 to 1, not {self.share!r}.")

    def layers_of(self, depth: int) -> tuple[int, ...]:
        """Return the layers to borrow from in a tower of `depth` layers.

        Raises:
            InputError: The tower has no such layer before its last one.
        """
        layers = self.layers
        if layers is None:
            layers = tuple(range(depth * 5 // 12 + 1, depth * 9 // 12 + 1))
        if not layers or not all(1 <= layer < depth for layer in layers):
            raise InputError(
                f"ResCLIP borrows attention from layers before the last one; this model has "
                f"{depth - 1} of them, but the settings name {layers or 'the middle third'}."
            )
        return layers


def reads(depth: int, settings: RcsSettings) -> Collection[int]:
    """Return the layers whose outputs are needed: the inputs of those borrowed from."""
    return {layer - 1 for layer in settings.layers_of(depth)}


def update(
    last: LastBlock, settings: RcsSettings, *, gain: float = 1.0, bias: Tensor | None = None
) -> Tensor:
    """A = τ [(1 - λ) A_s + λ A_c], A_s of the base, A_c the mean over layers of softmax(s Q Kᵀ).

    Args:
        last: The last block and the streams before it.
        settings: The base, τ, λ and the layers.
        gain: What the base's scores are multiplied by, as in `base_outputs`.
        bias: What is then added to them, as in `base_outputs`.
    """
    own = base_outputs(last, settings, gain=gain, bias=bias)
    borrowed = borrowed_outputs(last, settings.layers_of(len(last.blocks)))
    return last.attention.merge(settings.scale * torch.lerp(own, borrowed, settings.share))


def base_outputs(
    last: LastBlock, settings: RcsSettings, *, gain: float = 1.0, bias: Tensor | None = None
) -> Tensor:
    """Return A_s V: softmax(gain s F Fᵀ + bias + Ω) V, summed over the base's features F.

    "naclip" takes keys and is the only base with Ω, "clearclip" takes queries, "sclip" both.

    Args:
        last: The last block.
        settings: The base and its neighbourhood.
        gain: What the scores are multiplied by.
        bias: What is then added to them, broadcast to (batch, heads, tokens, tokens).

    Returns:
        (batch, heads, tokens, head width).
    """
    attention, x, base = last.attention, last.normed, settings.base
    features: list[Tensor] = []
    if base in ("sclip", "clearclip"):
        features.append(attention.queries(x))
    if base in ("sclip", "naclip"):
        features.append(attention.keys(x))
    if base == "naclip":
        omega = neighbourhood(
            last.grid, settings.sigma, class_tokens=last.class_tokens, device=x.device
        ).to(x.dtype)
        bias = omega if bias is None else bias + omega
    values = attention.values(x)
    outputs = [attention.mix(gain * each, each, values, bias=bias) for each in features]
    return torch.stack(outputs).sum(dim=0)


def borrowed_outputs(last: LastBlock, layers: Collection[int]) -> Tensor:
    """Return A_c V: earlier layers say where to look, the last one what is there.

    Heads correspond by their number, and all layers share one s, the heads being equally wide.

    Returns:
        (batch, heads, tokens, head width).
    """
    values = last.attention.values(last.normed)
    total = torch.zeros_like(values)
    for layer in layers:
        block = last.blocks[layer - 1]
        normed = block.norm1(last.streams[layer - 1])
        queries, keys = block.attention.queries(normed), block.attention.keys(normed)
        total = total + last.attention.mix(queries, keys, values)
    return total / len(layers)


def resclip(settings: RcsSettings) -> Method:
    """Build the method; it keeps the residual connection and the MLP if its base does."""
    base = BASES[settings.base]
    return Method(
        "resclip" if settings.base == "naclip" else f"resclip-{settings.base}",
        update,
        residual=base.residual,
        mlp=base.mlp,
        source="ResCLIP without SFR, arXiv 2411.15851",
        settings=settings,
        reads=reads,
        joinable=True,
        note="Borrowed maps are those of CLIP's stream, which ATR and SHE do not reach.",
    )


RESCLIP = resclip(RcsSettings())
