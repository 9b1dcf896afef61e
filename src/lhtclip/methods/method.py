"""What a method is: how CLIP's last block mixes its patch tokens, and what it keeps.

A published method replaces CLIP's last block. Its `update` stands in place of attention with
softmax(s Q Kᵀ); `residual` and `mlp` say whether the block keeps its residual connection and its
feed-forward network. These two are the published defaults, and both can be overridden.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from lhtclip.clip.positions import BICUBIC
from lhtclip.errors import InputError
from lhtclip.files.fields import check_fields
from lhtclip.files.json_files import plain_json


class LastAttention(Protocol):
    """The attention of a block, as methods use it.

    Tokens x are the normed residual stream (batch, class tokens + patches, width), class token
    first; everything per head is (batch, heads, class tokens + patches, head width).
    """

    scale: float  # s = d^-1/2

    def queries(self, x: Tensor) -> Tensor:
        """Queries of all heads."""
        ...

    def keys(self, x: Tensor) -> Tensor:
        """Keys of all heads."""
        ...

    def values(self, x: Tensor) -> Tensor:
        """Values of all heads."""
        ...

    def mix(
        self, queries: Tensor, keys: Tensor, values: Tensor, *, bias: Tensor | None = None
    ) -> Tensor:
        """Return softmax(s Q Kᵀ + bias) V of all heads."""
        ...

    def head_outputs(self, x: Tensor) -> Tensor:
        """Return softmax(s Q Kᵀ) V of all heads, as CLIP computes it."""
        ...

    def merge(self, head_outputs: Tensor) -> Tensor:
        """Concatenate the heads and apply the output projection."""
        ...


class BlockParts(Protocol):
    """The parts of a block that methods use."""

    @property
    def norm1(self) -> Callable[[Tensor], Tensor]:
        """The norm before attention."""
        ...

    @property
    def attention(self) -> LastAttention:
        """The attention itself."""
        ...

    @property
    def norm2(self) -> Callable[[Tensor], Tensor]:
        """The norm before the MLP."""
        ...

    @property
    def mlp(self) -> Callable[[Tensor], Tensor]:
        """The MLP."""
        ...


@dataclass(frozen=True, slots=True)
class BlockInput:
    """What enters a block.

    Attributes:
        attention: The block's attention.
        x: The residual stream that enters the block, (batch, class tokens + patches, width).
        normed: LN1(x), the same shape.
        grid: Rows and columns of patches.
        class_tokens: How many tokens stand before the patches, registers included.
        added: Whether the block was trained with texts on a frozen tower, as those of dino.txt's
            head.
    """

    attention: LastAttention
    x: Tensor
    normed: Tensor
    grid: tuple[int, int]
    class_tokens: int
    added: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class LastBlock(BlockInput):
    """Everything that a method may use: the last block, its input, and the tower before it.

    `x` is X^{L-1} after ATR and SHE.

    Attributes:
        blocks: All blocks of the tower, first to last.
        streams: The residual stream after layer l (X^l), by 1-based layer, for the layers that the
            method `reads`; 0 is the input of the first block. X^{L-1} is always there.
        restore: Applies ATR and SHE, as they are set, to patch tokens (batch, patches, width) that
            a method carries into the last block itself.
    """

    blocks: Sequence[BlockParts]
    streams: Mapping[int, Tensor]
    restore: Callable[[Tensor], Tensor]


class LabelPatches(Protocol):
    """Labels the patches of some windows by their first embeddings."""

    def __call__(self, *, logit_scale: float, threshold: float) -> Tensor:
        """Segment each window, refined by PAMR, and give each patch its most frequent label.

        Args:
            logit_scale: Factor on the cosines before the softmax.
            threshold: A pixel whose winner has less than this probability counts as query 0.

        Returns:
            Indices of queries, (windows, rows, columns).
        """
        ...


def no_streams(*_: object) -> Collection[int]:
    """Read no layer except the last block's own input."""
    return ()


@dataclass(frozen=True, slots=True)
class Method:
    """A published method: its attention, what it keeps of the last block, and its source.

    `replace(METHODS["naclip"], settings=NaclipSettings(sigma=3.0))` changes its settings. The
    functions get everything that a user can set from `settings`, which is part of every
    fingerprint; so they must not be closures over settings of their own.

    Attributes:
        name: How users call it.
        update: `update(last)`, or `update(last, settings)` for a method with settings. Returns what
            the attention adds to the residual stream, (batch, class tokens + patches, width). Only
            the patches are used.
        residual: Whether the published code keeps the last block's residual connection.
        mlp: Whether it keeps the last block's MLP.
        source: The publication.
        settings: A frozen dataclass of JSON types, or None.
        reads: `reads(depth)`, or `reads(depth, settings)`. The layers whose residual stream the
            method needs, in a tower of so many layers (1-based; 0 is the input of the first block).
            Raises InputError if the method does not fit such a tower.
        note: Where LHT-CLIP's techniques reach this method differently from others.
        positions: For a method that resizes the position table by a rule of its own,
            `positions(settings)`: a name in `lhtclip.clip.positions.RULES`. None for the common
            rule, bicubic.
        exportable: Whether it can become an ONNX graph.
        joinable: Whether all its attention between patches goes through `mix`, so that the windows
            of an image can see each other in the last block.
        attend: For a method that changes attention before the last block too, `attend(block)`, or
            `attend(block, settings)`. Returns A V of all heads of an earlier block, given as a
            `BlockInput`: (batch, heads, class tokens + patches, head width).
        mend: For a method that changes the stream before the last block, `mend(patches, block)`, or
            `mend(patches, block, settings)`. Takes the patch tokens that leave an earlier block,
            (batch, patches, width), and what entered it, and returns those that go on.
        suit: For a method that depends on the checkpoint, `suit(settings, channels)`: the settings
            for one with these abnormal channels.
        second_pass: For a method that looks at an image twice, `second_pass(label, settings)`: the
            method of the second pass, from the labels of the first. A `Segmenter` runs it, because
            labels depend on the classes; an encoder alone computes the first pass.
    """

    name: str
    update: Callable[..., Tensor]
    residual: bool
    mlp: bool
    source: str
    settings: object = None
    reads: Callable[..., Collection[int]] = no_streams
    note: str = ""
    positions: Callable[[Any], str] | None = None
    exportable: bool = True
    joinable: bool = False
    attend: Callable[..., Tensor] | None = None
    mend: Callable[..., Tensor] | None = None
    suit: Callable[[Any, tuple[int, ...]], object] | None = None
    second_pass: Callable[[LabelPatches, Any], Method] | None = None

    def __post_init__(self) -> None:
        """Refuse values of another type, and settings that a fingerprint could not hold."""
        check_fields(self)
        self.recorded_settings()

    def apply(self, last: LastBlock) -> Tensor:
        """Return the update of the last block, (batch, class tokens + patches, width)."""
        return self.update(last, *self._settings)

    def layers_read(self, depth: int) -> Collection[int]:
        """Return the layers whose residual stream the method needs.

        Raises:
            InputError: The method does not fit a tower of this depth.
        """
        return self.reads(depth, *self._settings)

    def suited_to(self, channels: tuple[int, ...]) -> Method:
        """Return the method for a checkpoint with these abnormal channels, none if unknown."""
        if self.suit is None or not channels:
            return self
        return replace(self, settings=self.suit(self.settings, channels))

    def attended(self, block: BlockInput) -> Tensor:
        """Return A V of all heads of a block before the last one."""
        if self.attend is None:
            return block.attention.head_outputs(block.normed)
        return self.attend(block, *self._settings)

    def mended(self, x: Tensor, block: BlockInput) -> Tensor:
        """Return the stream that leaves a block before the last one, as the method changes it."""
        if self.mend is None:
            return x
        prefix = block.class_tokens
        patches = self.mend(x[:, prefix:], block, *self._settings)
        return torch.cat([x[:, :prefix], patches], dim=1)

    @property
    def _settings(self) -> tuple[object, ...]:
        """What the functions get after their other arguments."""
        return () if self.settings is None else (self.settings,)

    @property
    def position_rule(self) -> str:
        """How positions are resized for grids other than the trained one."""
        return BICUBIC if self.positions is None else self.positions(self.settings)

    def recorded_settings(self) -> dict[str, Any]:
        """Return the settings by name, in JSON types, as they go into every fingerprint.

        Raises:
            InputError: The settings are not a frozen dataclass of JSON types.
        """
        if self.settings is None:
            return {}
        if not (is_dataclass(self.settings) and not isinstance(self.settings, type)):
            raise InputError(
                f"The settings of the method {self.name!r} must be a frozen dataclass, so that "
                f"they are part of every fingerprint, not {self.settings!r}."
            )
        return plain_json(asdict(self.settings))
