"""BERT as a text tower: norms behind the updates, and the first token stands for the prompt."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lhtclip.clip.config import PromptConfig
from lhtclip.clip.layers import Attention, Block, Mlp
from lhtclip.clip.towers import PromptTower, fresh_embedding, module_list

PADDING = 0  # the id of [PAD]


@dataclass(frozen=True, slots=True)
class BertConfig(PromptConfig):
    """Shape of a BERT; names and defaults are those of the `transformers` layout."""

    vocab_size: int = 30522
    hidden_size: int = 768
    intermediate_size: int = 3072
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    max_position_embeddings: int = 512
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-12
    type_vocab_size: int = 2


class BertBlock(Block):
    """A block with its norms behind the sums: norm(x + attention(x)), norm(x + mlp(x))."""

    def forward(self, x: Tensor, *, bias: Tensor | None = None, causal: bool = False) -> Tensor:
        """Return the residual stream after this block."""
        x = self.norm1(x + self.attention(x, bias=bias, causal=causal))
        return self.norm2(x + self.mlp(x))


class BertTextTower(PromptTower):
    """Every token sees all others; padding is masked, so its length changes nothing."""

    causal = False

    def __init__(self, config: BertConfig, projection: nn.Module) -> None:
        """Make the tower; `projection` takes the first token to the shared space."""
        super().__init__()
        width = config.hidden_size
        self.config = config
        self.token_embedding = fresh_embedding(config.vocab_size, width)
        self.positions = nn.Parameter(torch.zeros(config.max_position_embeddings, width))
        self.kinds = nn.Parameter(torch.zeros(config.type_vocab_size, width))  # of sentences
        self.embedding_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.blocks = module_list(_block(config) for _ in range(config.num_hidden_layers))
        self.projection = projection

    def embed(self, token_ids: Tensor) -> Tensor:
        """Return the residual stream that enters the first block: (batch, tokens, width)."""
        places = self.positions[: token_ids.shape[1]]
        return self.embedding_norm(self.token_embedding(token_ids) + places + self.kinds[0])

    def contextualise(self, token_ids: Tensor) -> Tensor:
        """Return the residual stream that leaves the last block: (batch, tokens, width)."""
        x = self.embed(token_ids)
        padding = (token_ids == PADDING)[:, None, None]
        bias = torch.zeros_like(padding, dtype=x.dtype)
        bias = bias.masked_fill(padding, torch.finfo(x.dtype).min)
        for block in self.blocks:
            x = block(x, bias=bias)
        return x

    def forward(self, token_ids: Tensor) -> Tensor:
        """Return the prompts' features, (batch, projection_dim), not normalised.

        Args:
            token_ids: (batch, tokens) integers, padded on the right with `PADDING`.
        """
        return self.projection(self.contextualise(token_ids)[:, 0])


def _block(config: BertConfig) -> BertBlock:
    return BertBlock(
        Attention(config.hidden_size, config.num_attention_heads),
        Mlp(config.hidden_size, config.intermediate_size, config.hidden_act),
        width=config.hidden_size,
        epsilon=config.layer_norm_eps,
    )


def names_in(tower: str) -> dict[str, str]:
    """Return our names of tensors outside the blocks, and theirs in a BERT called `tower`."""
    embeddings = f"{tower}.embeddings"
    return {
        "text.token_embedding.weight": f"{embeddings}.word_embeddings.weight",
        "text.positions": f"{embeddings}.position_embeddings.weight",
        "text.kinds": f"{embeddings}.token_type_embeddings.weight",
        "text.embedding_norm.weight": f"{embeddings}.LayerNorm.weight",
        "text.embedding_norm.bias": f"{embeddings}.LayerNorm.bias",
    }


BERT_BLOCK: dict[str, tuple[str, ...]] = {
    "text.norm1": ("attention.output.LayerNorm.{}",),
    "text.attention.in_projection": tuple(
        f"attention.self.{part}.{{}}" for part in ("query", "key", "value")
    ),
    "text.attention.out_projection": ("attention.output.dense.{}",),
    "text.norm2": ("output.LayerNorm.{}",),
    "text.mlp.expand": ("intermediate.dense.{}",),
    "text.mlp.contract": ("output.dense.{}",),
}
