"""One model in training: float32 weights, a bfloat16 working copy, the optimiser."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lhtclip.clip.model import Clip
from lhtclip.clip.text import TextTower
from lhtclip.clip.tokenizer import Tokenizer
from training.batches import Batch, Library
from training.captions import PHRASES, phrases
from training.losses import Said, scene_loss
from training.model import image_features, run_block
from training.ranks import add_up
from training.recipe import Recipe

MAX_SCALE = 100.0
ENCODED_AT_ONCE = 256  # captions


class Learner:
    """Takes steps; every rank holds the same weights, and gradients are summed over all ranks.

    If the text tower is already trained, only its final norm and projection keep learning, so a
    library runs through its blocks only once.
    """

    def __init__(
        self,
        recipe: Recipe,
        model: Clip,
        tokenizer: Tokenizer,
        *,
        learns_text: bool,
        compiled: bool,
    ) -> None:
        self.model, self.tokenizer = model.requires_grad_(True), tokenizer
        self.model.text.requires_grad_(learns_text)
        self.model.text.final_norm.requires_grad_(True)
        self.model.text.projection.requires_grad_(True)
        self.worker = copy.deepcopy(model).to(torch.bfloat16)
        self.optimizer = _optimizer(model, recipe)
        # one block at a time: all but the last are alike, so there is little to compile
        self.run = torch.compile(run_block, dynamic=False) if compiled else run_block
        self.rows: list[list[int]] = []
        self.library: Library | None = None
        self.read_out: Tensor | None = None  # input of the final norm, (captions, width)
        self.read_phrases: Tensor | None = None
        said = phrases(np.random.default_rng((recipe.seed, 4)))
        self.phrases = tokenizer.encode([phrase for ways in said for phrase in ways])

    def read(self, library: Library) -> None:
        """Set the captions that the next steps choose from."""
        self._hand_over()
        device = self.model.logit_scale.device
        self.library, self.rows = library.to(device), self.tokenizer.encode(library.captions)
        if self.model.text.token_embedding.weight.requires_grad:
            return
        self.read_out, self.read_phrases = (
            end_tokens(self.worker.text, rows, self.tokenizer.end)
            for rows in (self.rows, self.phrases)
        )

    def step(self, batch: Batch, rate: float) -> tuple[float, float]:
        """Learn from one batch.

        Args:
            batch: This rank's share.
            rate: The learning rate.

        Returns:
            The loss, and the share of scenes whose nearest word is one that the caption mentions.
        """
        self._hand_over()
        said = self._read(batch)
        features = image_features(self.worker.vision, batch.patches, batch.rows, self.run)
        loss = scene_loss(features, said, self.model.logit_scale.exp())
        loss.backward()
        self._update(rate)
        whole = F.normalize(features[0].detach().float(), dim=-1)
        logits = (whole @ said.words.detach().T).masked_fill(said.allowed & ~said.mentioned, -1)
        right = said.mentioned.gather(1, logits.argmax(dim=1, keepdim=True))
        return float(loss.detach()), float(right.float().mean())

    def _read(self, batch: Batch) -> Said:
        text, end, library = self.worker.text, self.tokenizer.end, self.library
        spoken = (
            torch.arange(len(batch.phrases), device=batch.phrases.device) * PHRASES + batch.phrases
        )
        if self.read_out is None:  # captions cost as much as scenes: only the scenes' own
            offered = batch.own
            rows = [self.rows[number] for number in offered.tolist()]
            rows += [self.phrases[number] for number in spoken.tolist()]
            ends = _end_tokens(text, rows, end)
        else:
            offered = batch.offered
            ends = torch.cat([self.read_out[offered], self.read_phrases[spoken]])
        texts = F.normalize(text.projection(text.final_norm(ends)).float(), dim=-1)
        return Said(
            texts=texts[: len(offered)],
            equal=library.kinds[batch.own][:, None] == library.kinds[offered],
            words=texts[len(offered) :],
            mentioned=library.mentioned[batch.own],
            allowed=library.allowed(batch.own),
        )

    def state(self) -> dict[str, Any]:
        """Return everything that a later run needs to continue."""
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def resume(self, state: dict[str, Any]) -> None:
        """Continue from another run's `state`."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])

    @torch.no_grad()
    def _hand_over(self) -> None:
        """Copy the weights to the worker and clear its gradients."""
        for worker, weight in zip(self.worker.parameters(), self.model.parameters(), strict=True):
            worker.copy_(weight)
            worker.grad = None

    @torch.no_grad()
    def _update(self, rate: float) -> None:
        scale = self.model.logit_scale
        pairs = [
            (weight, worker.grad)
            for weight, worker in zip(
                self.model.parameters(), self.worker.parameters(), strict=True
            )
            if worker.grad is not None
        ]
        assert scale.grad is not None
        weights = [scale, *(weight for weight, _ in pairs)]
        gradients = add_up([scale.grad, *(gradient for _, gradient in pairs)])
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        scale.grad = None
        scale.clamp_(max=math.log(MAX_SCALE))


@torch.no_grad()
def end_tokens(text: TextTower, rows: Sequence[list[int]], end: int) -> Tensor:
    """Return the end tokens of many captions after a text tower's blocks.

    Args:
        text: The tower; the result has its dtype and device.
        rows: Token ids of each caption, the end token last.
        end: The id of the end token.

    Returns:
        (captions, width).
    """
    order = sorted(range(len(rows)), key=lambda number: len(rows[number]))
    read = text.positions.new_empty(len(rows), text.config.hidden_size)
    for begin in range(0, len(order), ENCODED_AT_ONCE):
        some = order[begin : begin + ENCODED_AT_ONCE]
        read[some] = _end_tokens(text, [rows[number] for number in some], end)
    return read


def _end_tokens(text: TextTower, rows: Sequence[list[int]], end: int) -> Tensor:
    longest = max(map(len, rows))
    tokens = torch.tensor([row + [end] * (longest - len(row)) for row in rows])
    x = text.contextualise(tokens.to(text.positions.device))
    return x[torch.arange(len(rows)), [len(row) - 1 for row in rows]]


def _optimizer(model: Clip, recipe: Recipe) -> torch.optim.AdamW:
    """Return AdamW for all trained parameters; vectors have no weight decay."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    groups = [
        {"params": [w for w in weights if w.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [w for w in weights if w.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, betas=(0.9, 0.98), eps=1e-6, fused=True)
