"""What the shapes of a file's tensors say about the model, by OpenAI's names of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from lhtclip.clip.config import TextConfig
from lhtclip.errors import CheckpointError

HEAD_WIDTH = 64


class Shapes:
    """The shapes of tensors that a kind of model must have."""

    def __init__(self, tensors: Mapping[str, Tensor], path: Path, *, kind: str) -> None:
        """Look at tensors by name; errors say that `path` is not `kind`."""
        self._tensors, self._refusal = tensors, f"{path} is not {kind}"

    def of(self, name: str, dimensions: int) -> tuple[int, ...]:
        """Return the shape of a tensor with this many dimensions.

        Raises:
            CheckpointError: There is no such tensor, or it has another number of dimensions.
        """
        if name not in self._tensors:
            raise CheckpointError(f"{self._refusal}: it has no tensor {name}.")
        shape = tuple(self._tensors[name].shape)
        if len(shape) != dimensions or 0 in shape:
            raise CheckpointError(f"{self._refusal}: its tensor {name} has shape {shape}.")
        return shape

    def count(self, prefix: str) -> int:
        """Return how many blocks have tensors whose names begin with `prefix`."""
        names = (name[len(prefix) :] for name in self._tensors if name.startswith(prefix))
        return len({name.split(".")[0] for name in names})

    def heads(self, width: int, of_each: int = HEAD_WIDTH) -> int:
        """Return how many heads a width has.

        Raises:
            CheckpointError: It cannot be divided into heads.
        """
        if width % of_each:
            raise CheckpointError(
                f"{self._refusal}: its width {width} cannot be divided into heads of {of_each}."
            )
        return width // of_each

    def text(self, activation: str) -> TextConfig:
        """Return the shape of the text tower.

        Raises:
            CheckpointError: A tensor is missing or misshapen.
        """
        context, width = self.of("positional_embedding", 2)
        vocabulary, _ = self.of("token_embedding.weight", 2)
        blocks = "transformer.resblocks."
        return TextConfig(
            vocab_size=vocabulary,
            hidden_size=width,
            intermediate_size=self.of(f"{blocks}0.mlp.c_fc.weight", 2)[0],
            num_hidden_layers=self.count(blocks),
            num_attention_heads=self.heads(width),
            max_position_embeddings=context,
            hidden_act=activation,
            eos_token_id=vocabulary - 1,  # read out at the largest id, as in OpenCLIP
        )
