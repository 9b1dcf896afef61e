"""A family of models: how its checkpoints become a model and a tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from lhtclip.clip.config import PixelConfig
from lhtclip.clip.tokenizer import Tokenizer
from lhtclip.clip.towers import ImageTextModel


@dataclass(frozen=True, slots=True)
class TensorNames:
    """The names of our tensors in a checkpoint layout.

    Files are read without a first part that all their names share, such as "module.", so there must
    be none here.

    Attributes:
        top: Tensors outside the blocks, our name -> theirs, or several that form it.
        towers: What precedes the number of a block, by tower.
        block: The parts of a block, our name -> theirs, with "{}" for "weight" or "bias". Several
            of theirs may form one of ours, stacked along rows. Where the towers differ, our name
            begins with that of the tower: "text.norm1".
        transposed: Our names of tensors that the layout stores transposed.
        shares: Where parts that form a tensor differ in size: our name -> how many shares of its
            rows each has.
        ignored: Their names of buffers that contain nothing learned.
    """

    top: Mapping[str, str | tuple[str, ...]]
    towers: Mapping[str, str]
    block: Mapping[str, tuple[str, ...]]
    transposed: frozenset[str] = frozenset()
    shares: Mapping[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])
    ignored: frozenset[str] = frozenset()

    def of(self, ours: str) -> tuple[str, ...]:
        """Return the name, or the names of the parts, of one of our tensors."""
        if ours in self.top:
            theirs = self.top[ours]
            return (theirs,) if isinstance(theirs, str) else theirs
        tower, _, layer, *part, kind = ours.split(".")
        prefix, place = f"{self.towers[tower]}{layer}.", ".".join(part)
        parts = self.block.get(f"{tower}.{place}") or self.block[place]
        return tuple(prefix + name.format(kind) for name in parts)


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of model, as `config.json` of the `transformers` layout describes it.

    Attributes:
        build: Makes a model with meaningless weights from the content of `config.json`. Raises
            CheckpointError if the content does not describe one.
        read_tokenizer: Reads `tokenizer.json` for a model of this configuration; gets the name of
            the configuration's file, too. Raises CheckpointError if the two do not fit together.
        pixels: How pixels are normalised if the checkpoint does not say.
        tensors: What the layout calls the tensors.
        others: Other names of the same tensors, as some files have them.
        prepare: Changes the tensors of a file before they are looked up by name.
    """

    build: Callable[[Mapping[str, Any]], ImageTextModel]
    read_tokenizer: Callable[[Path, Any, str], Tokenizer]
    pixels: PixelConfig
    tensors: TensorNames
    others: tuple[TensorNames, ...] = ()
    prepare: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] = dict[str, Tensor]

    def names_in(self, tensors: Container[str], ours: Iterable[str]) -> TensorNames:
        """Return the names by which most tensors are in a file.

        Args:
            tensors: The names in the file.
            ours: Our names of the model's tensors.
        """
        if not self.others:
            return self.tensors
        wanted = tuple(ours)
        return max(
            (self.tensors, *self.others),
            key=lambda names: sum(part in tensors for name in wanted for part in names.of(name)),
        )
