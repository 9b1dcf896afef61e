"""What a last-block rule is: how the last block mixes its patch tokens, and what it keeps.

A published method replaces CLIP's last block. Its `mix` says what stands in place of attention with
softmax(s Q Kᵀ); `residual` and `mlp` say whether the block's residual connection and feed-forward
network stay. These are the published defaults, and both can be overridden.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from functools import partial
from typing import Any, Protocol

from torch import Tensor


class LastAttention(Protocol):
    """What a rule may use of a block's attention.

    x is the normed residual stream (batch, class tokens + patches, width), class token first;
    everything per head is (batch, heads, class tokens + patches, head width).
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

    def merge(self, head_outputs: Tensor) -> Tensor:
        """Concatenate the heads and apply the output projection."""
        ...


class BlockParts(Protocol):
    """What a rule may use of a block: its first norm and its attention."""

    @property
    def norm1(self) -> Callable[[Tensor], Tensor]:
        """The norm before attention."""
        ...

    @property
    def attention(self) -> LastAttention:
        """The attention itself."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """What a rule may know beside the tokens of the last block.

    grid: Rows and columns of patches.
    class_tokens: How many tokens stand before the patches, 1 or 0.
    blocks: All blocks of the tower, first to last.
    streams: The residual stream after layer l (X^l), by 1-based layer, of the layers that the rule
        `reads`; 0 is what enters the first block. The one that enters the last block (X^{L-1}) is
        always there, as ATR and SHE left it.
    restore: ATR and SHE as they are set, for patch tokens (batch, patches, width) that a rule
        itself carries into the last block.
    feedback: What the rule's own `feedback` made of a first run, in the second; otherwise None.
    """

    grid: tuple[int, int]
    class_tokens: int
    blocks: Sequence[BlockParts]
    streams: Mapping[int, Tensor]
    restore: Callable[[Tensor], Tensor]
    feedback: Tensor | None = None


@dataclass(frozen=True, slots=True)
class FirstRun:
    """What a rule with feedback may know of its first run through the last block.

    embeddings: Of all patches, (batch, rows, columns, E), of unit length.
    texts: The queries' embeddings, (queries, E), of unit length.
    pixels: What was encoded, normalised, (batch, 3, height, width).
    patch: Side of a patch in pixels.
    """

    embeddings: Tensor
    texts: Tensor
    pixels: Tensor
    patch: int


Mix = Callable[[LastAttention, Tensor, Context], Tensor]


def no_streams(depth: int) -> Collection[int]:
    """Read no layer but the last block's own input."""
    del depth
    return ()


@dataclass(frozen=True, slots=True)
class Method:
    """One published method: its attention, what it keeps of the block, and where it stands.

    mix: What the block's attention adds, (batch, class tokens + patches, width), from the
        attention, the normed residual stream of the same shape, and the context. Whatever it has
        for class tokens, only the patches are read.
    reads: For a tower of so many layers, after which of them (1-based; 0 is before the first) the
        rule needs the residual stream. Raises InputError where the tower does not suit the rule.
    note: How LHT-CLIP's techniques reach the rule, where that is not as everywhere.
    feedback: Where a rule has it, the last block runs twice: this turns the first run into what the
        second finds in its context, (batch, ...). Such a rule needs texts to encode an image.
    """

    name: str
    mix: Mix
    residual: bool
    mlp: bool
    source: str
    reads: Callable[[int], Collection[int]] = no_streams
    note: str = ""
    feedback: Callable[[FirstRun], Tensor] | None = None

    def settings(self) -> dict[str, Any]:
        """Return the settings that the rule was built with, by name; most rules have none."""
        given = self.mix.keywords if isinstance(self.mix, partial) else {}
        return {
            name: asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
            for name, value in given.items()
        }
