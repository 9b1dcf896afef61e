"""The base of CLIP's and SigLIP's towers: how pixels and prompts enter their blocks."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from lhtclip.clip.config import ModelConfig, PromptConfig, VisionConfig
from lhtclip.clip.layers import Attention, Block, Mlp
from lhtclip.clip.positions import BICUBIC


class ImageTower(nn.Module, ABC):
    """Pixels in, residual stream out, block by block.

    For more than an image's one feature, run the stages yourself: `embed`, each of `blocks_for` the
    grid, `project`.

    Attributes:
        class_tokens: Number of tokens before the patches: class tokens, the one that stands for
            the image first, and registers.
        blocks: The blocks as they are stored.
        added_blocks: How many of the last ones were trained with texts on a frozen tower.
    """

    class_tokens: int
    added_blocks: int = 0
    config: VisionConfig
    patch_embedding: nn.Linear
    blocks: Sequence[Block]
    final_norm: nn.LayerNorm

    @property
    def device(self) -> torch.device:
        """Where the weights are, and the pixels have to be."""
        return self.patch_embedding.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the weights, which the pixels have to share."""
        return self.patch_embedding.weight.dtype

    def blocks_for(self, grid: tuple[int, int]) -> Sequence[Block]:
        """Return the blocks as they act on a grid of patches.

        A tower with rotary positions turns queries and keys by the places of their tokens; in all
        others blocks know nothing of the grid.
        """
        return self.blocks

    def grid(self, pixels: Tensor) -> tuple[int, int]:
        """Return rows and columns of whole patches in (batch, 3, height, width)."""
        height, width = pixels.shape[-2:]
        return height // self.config.patch_size, width // self.config.patch_size

    def patch_tokens(self, pixels: Tensor) -> Tensor:
        """Embed whole patches; drops pixels beyond the last one, like a strided convolution.

        Args:
            pixels: (batch, 3, height, width), at least one patch in each direction.

        Returns:
            (batch, rows * columns, width), row by row.
        """
        rows, columns = self.grid(pixels)
        side = self.config.patch_size
        whole = pixels[..., : rows * side, : columns * side]
        patches = whole.reshape(-1, 3, rows, side, columns, side)
        patches = patches.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)  # (B, N, 3 p p)
        return self.patch_embedding(patches)

    def fingerprint(self) -> str:
        """Return a SHA-256 of the tower's configuration and its weights as loaded."""
        digest = hashlib.sha256(json.dumps(asdict(self.config)).encode())
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
            digest.update(tensor.contiguous().cpu().flatten().view(torch.uint8).numpy().data)
        return digest.hexdigest()

    @abstractmethod
    def embed(self, pixels: Tensor, *, positions: str = BICUBIC) -> Tensor:
        """Return the residual stream that enters the first block.

        Args:
            pixels: Normalised, (batch, 3, height, width), at least one patch in each direction.
            positions: How positions are resized for grids other than the trained one, a name in
                `lhtclip.clip.positions.RULES`. A tower that was published with a rule of its own
                keeps to that.

        Returns:
            (batch, class tokens + rows * columns, width), the class token first.
        """

    @abstractmethod
    def project(self, tokens: Tensor) -> Tensor:
        """Project tokens after the last block, one by one, into the space of the texts.

        Args:
            tokens: (..., tokens, width).

        Returns:
            (..., tokens, projection_dim), not normalised.
        """

    @abstractmethod
    def forward(self, pixels: Tensor) -> Tensor:
        """Return the images' features, (batch, projection_dim), not normalised."""


class PromptTower(nn.Module, ABC):
    """Token ids in, one feature per prompt out.

    Attributes:
        causal: Whether a token sees only those before it. If so, nothing after the end token
            changes a feature; if not, the padding counts, and prompts must be padded to the whole
            context.
    """

    causal: ClassVar[bool]
    token_embedding: nn.Embedding
    blocks: Sequence[Block]

    @abstractmethod
    def embed(self, token_ids: Tensor) -> Tensor:
        """Return the residual stream that enters the first block: (batch, tokens, width)."""

    @abstractmethod
    def contextualise(self, token_ids: Tensor) -> Tensor:
        """Return the residual stream that leaves the last block: (batch, tokens, width)."""

    @abstractmethod
    def forward(self, token_ids: Tensor) -> Tensor:
        """Return the prompts' features, (batch, projection_dim), not normalised."""


class PreNormPromptTower(PromptTower):
    """A text tower of blocks like CLIP's, with a norm behind the last."""

    def __init__(self, config: PromptConfig) -> None:
        """Make what all have; weights are zeros or random."""
        super().__init__()
        width = config.hidden_size
        self.token_embedding = fresh_embedding(config.vocab_size, width)
        self.blocks = fresh_blocks(config)
        self.final_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)

    def contextualise(self, token_ids: Tensor) -> Tensor:
        """Return the residual stream that leaves the last block: (batch, tokens, width)."""
        x = self.embed(token_ids)
        for block in self.blocks:
            x = block(x, causal=self.causal)
        return x


class ImageTextModel(nn.Module):
    """An image tower and a text tower with a shared space: what every checkpoint becomes."""

    config: ModelConfig
    vision: ImageTower
    text: PromptTower


class TablePromptTower(PreNormPromptTower):
    """A text tower with a table of learned positions."""

    def __init__(self, config: PromptConfig) -> None:
        super().__init__(config)
        self.positions = nn.Parameter(
            torch.zeros(config.max_position_embeddings, config.hidden_size)
        )

    def embed(self, token_ids: Tensor) -> Tensor:
        """Return the residual stream that enters the first block: (batch, tokens, width)."""
        return self.token_embedding(token_ids) + self.positions[: token_ids.shape[1]]


def fresh_blocks(config: VisionConfig | PromptConfig) -> Sequence[Block]:
    """Return a tower's plain blocks, as a module that is a sequence."""
    return module_list(plain_block(config) for _ in range(config.num_hidden_layers))


def plain_block(config: VisionConfig | PromptConfig) -> Block:
    """Return a block of plain attention and a plain MLP."""
    width = config.hidden_size
    return Block(
        Attention(width, config.num_attention_heads),
        Mlp(width, config.intermediate_size, config.hidden_act),
        width=width,
        epsilon=config.layer_norm_eps,
    )


def module_list(blocks: Iterable[Block]) -> Sequence[Block]:
    """Return blocks as a module that is a sequence."""
    return cast("Sequence[Block]", nn.ModuleList(blocks))


def fresh_embedding(tokens: int, width: int) -> nn.Embedding:
    """Return a table of zeros for token ids below `tokens`."""
    # Not nn.Embedding(...): its random numbers, on the meta device that checkpoints are loaded
    # through, would import torch's compiler, some 2 seconds.
    return nn.Embedding.from_pretrained(torch.zeros(tokens, width), freeze=False)
