"""Frozen CLIP to patch embeddings: the one loop in which methods and techniques act.

Read `DenseEncoder.__call__` next to the paper's overview figure (arXiv 2510.23894).
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from lhtclip.clip.towers import ImageTextModel
from lhtclip.errors import InputError, check_kind
from lhtclip.files.json_files import plain_json
from lhtclip.methods import BlockInput, LastBlock, Method, method_of
from lhtclip.techniques.atr import AtrSettings, abnormal_patches, replace_abnormal
from lhtclip.techniques.settings import OFF, LhtSettings
from lhtclip.techniques.she import Contributions, enhance
from lhtclip.techniques.ssr import reweight


class PatchEncoder(Protocol):
    """Pixels to patch embeddings: a `DenseEncoder`, or an engine that runs one."""

    @property
    def engine(self) -> str:
        """The engine, such as "torch" or "onnx int8"."""
        ...

    def __call__(self, pixels: Tensor) -> Tensor:
        """Encode a batch, as `DenseEncoder.__call__` does."""
        ...


class DenseEncoder:
    """Turns pixels into one embedding per patch, in the space of CLIP's texts."""

    engine = "torch"

    def __init__(
        self,
        model: ImageTextModel,
        *,
        method: str | Method = "sclip",
        lht: LhtSettings = OFF,
        residual: bool | None = None,
        mlp: bool | None = None,
    ) -> None:
        """Choose the method of the last block and the techniques before it.

        Args:
            model: A frozen CLIP.
            method: A name in `lhtclip.methods.METHODS`, or a `Method` of your own.
            lht: The techniques; a `Preset` has those that suit a checkpoint.
            residual: Keep the last block's residual connection. By default as published, but not
                if a technique is on, as in the paper.
            mlp: Keep the last block's MLP, with the same default.

        Raises:
            UnknownNameError: There is no such method.
            InputError: A setting names a layer or head that the model does not have, or the method
                does not fit a model of this depth.
        """
        check_kind("model", model, ImageTextModel)
        check_kind("method", method, str, Method)
        check_kind("lht", lht, LhtSettings)
        check_kind("residual", residual, bool, type(None))
        check_kind("mlp", mlp, bool, type(None))
        self.model = model
        self.method = method_of(method)
        self.lht = lht
        published = lht == OFF
        self.residual = residual if residual is not None else published and self.method.residual
        self.mlp = mlp if mlp is not None else published and self.method.mlp
        self.reads = frozenset(self.method.layers_read(len(model.vision.blocks)))
        _check_layers(model, lht)

    def settings(self) -> dict[str, Any]:
        """Return everything except pixels that the embeddings depend on, by name, in JSON types."""
        content = {
            "image_tower": self.model.vision.fingerprint(),
            "method": self.method.name,
            "method_settings": self.method.recorded_settings(),
            "residual": self.residual,
            "mlp": self.mlp,
            "techniques": asdict(self.lht),
        }
        return plain_json(content)

    def with_method(self, method: Method) -> DenseEncoder:
        """Return the same encoder with another method, and the same residual and MLP."""
        return DenseEncoder(
            self.model, method=method, lht=self.lht, residual=self.residual, mlp=self.mlp
        )

    def __call__(self, pixels: Tensor) -> Tensor:
        """Encode a batch. For a method with a second pass, this is the first.

        Args:
            pixels: Normalised, (batch, 3, height, width), at least one patch in each direction;
                on the model's device and of its dtype.

        Returns:
            (batch, rows, columns, E) float32, of unit length, one for each whole patch.
        """
        return self.leave(self.enter(pixels))

    def enter(self, pixels: Tensor) -> LastBlock:
        """Run everything before the last block; arguments as for a call."""
        vision, lht = self.model.vision, self.lht
        grid, prefix = vision.grid(pixels), vision.class_tokens
        blocks = vision.blocks_for(grid)
        contributions: list[Contributions] = []
        streams: dict[int, Tensor] = {}
        x = vision.embed(pixels, positions=self.method.position_rule)  # X^0
        for layer, block in enumerate(blocks[:-1], start=1):
            if layer - 1 in self.reads:
                streams[layer - 1] = x
            alpha = lht.ssr.alpha if lht.ssr and layer in lht.ssr.layers else 0.0
            added = layer > len(blocks) - vision.added_blocks
            entered = BlockInput(block.attention, x, block.norm1(x), grid, prefix, added=added)
            head_outputs = self.method.attended(entered)
            if lht.she and (heads := lht.she.heads_of(layer)):
                settled = block.attention.settled(head_outputs)
                outputs = torch.stack([settled[:, head, prefix:] for head in heads], dim=1)
                projections = block.attention.projections(heads)
                contributions.append(Contributions(outputs, projections))  # X_{l,h}
            x = reweight(x, block.attention.merge(head_outputs), alpha)
            x = block.closed(reweight(x, block.mlp(block.norm2(x)), alpha))
            x = self.method.mended(x, entered)  # X^l
        restore = partial(self._restore, contributions=contributions, grid=grid)
        x = torch.cat([x[:, :prefix], restore(x[:, prefix:])], dim=1)
        streams[len(blocks) - 1] = x
        block = blocks[-1]
        return LastBlock(
            attention=block.attention,
            x=x,
            normed=block.norm1(x),
            grid=grid,
            class_tokens=prefix,
            blocks=blocks,
            streams=streams,
            restore=restore,
        )

    def leave(self, last: LastBlock) -> Tensor:
        """Apply the method and project to the space of the texts: (batch, rows, columns, E)."""
        vision, block = self.model.vision, self.model.vision.blocks[-1]
        update = self.method.apply(last)
        x = last.x + update if self.residual else update
        x = x + block.mlp(block.norm2(x)) if self.mlp else x
        embeddings = vision.project(x[:, last.class_tokens :])
        return F.normalize(embeddings.float(), dim=-1).unflatten(1, last.grid)

    def _restore(
        self, patches: Tensor, contributions: list[Contributions], grid: tuple[int, int]
    ) -> Tensor:
        """Apply ATR, then SHE, to the patch tokens that enter the last block (X^{L-1})."""
        if not (self.lht.atr or self.lht.she):
            return patches
        atr = self.lht.atr or AtrSettings()
        abnormal = abnormal_patches(patches, atr)
        if self.lht.atr:
            patches = replace_abnormal(patches, grid, atr, abnormal=abnormal)
        if self.lht.she:
            patches = enhance(
                patches, contributions, grid, self.lht.she, atr=atr, abnormal=abnormal
            )
        return patches


def _check_layers(model: ImageTextModel, lht: LhtSettings) -> None:
    config = model.config.vision
    last, heads = config.num_hidden_layers, config.num_attention_heads
    for layer in lht.ssr.layers if lht.ssr else ():
        if not 1 <= layer < last:
            raise InputError(
                f"SSR cannot act in layer {layer}; this model has {last} layers and the last one "
                f"belongs to the method, so choose from 1 to {last - 1}."
            )
    for layer, head in lht.she.heads if lht.she else ():
        if not (1 <= layer < last and 1 <= head <= heads):
            raise InputError(
                f"SHE cannot use head {layer}-{head}; this model has layers 1 to {last - 1} before "
                f"the last one, with heads 1 to {heads}."
            )
