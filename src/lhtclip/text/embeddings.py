"""Prompts to text embeddings: every template is filled, encoded and averaged, once per prompt.

If the text encoder is causal, tokens after the end token change nothing: sentences are not padded
to the whole context but to a multiple of a few tokens, and each batch has sentences of one length.
That length depends on the sentence alone, because kernels may round differently at another: so an
embedding is the same, to the last bit, whichever prompts are encoded with it. Otherwise, as in
SigLIP, the padding is part of the sentence and stays.
"""

from __future__ import annotations

import logging
import reprlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from lhtclip.checkpoints.checkpoint import Checkpoint
from lhtclip.clip.tokenizer import Tokenizer
from lhtclip.clip.towers import PromptTower
from lhtclip.errors import CheckpointError, check_kind
from lhtclip.text.cache import open_text_cache
from lhtclip.text.languages import is_english, warning_about
from lhtclip.text.templates import fill, resolve_templates

BATCH_TOKENS = {"cpu": 2048}  # by device type; larger batches do not fit a CPU's caches
BATCH_TOKENS_ELSEWHERE = 16384
LENGTH_STEP = 8  # tokens
CHUNK_PROMPTS = 1280  # prompts encoded between two writes to disk, the most that is lost
MEMORY_QUERIES = 16384  # prompts kept in memory, about 2 kB each

_logger = logging.getLogger("lhtclip")

Progress = Callable[[int, int], None]  # prompts done, prompts in total


class PromptTokenizer(Protocol):
    """Turns sentences into token ids."""

    def __call__(self, prompts: list[str], /) -> Tensor:
        """Return (sentences, tokens) integers, padded on the right as the text encoder needs it."""
        ...


@torch.no_grad()  # not inference_mode: users train on embeddings
def encode_queries(
    text_tower: PromptTower,
    tokenizer: PromptTokenizer,
    queries: Sequence[str],
    templates: Sequence[str],
    *,
    batch_tokens: int | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """Encode prompts as the mean over templates of unit-norm features (arXiv 2103.00020, 3.1.4).

    Args:
        text_tower: Token ids (n, tokens) -> features (n, width).
        tokenizer: Prompts -> token ids.
        queries: At least one prompt.
        templates: At least one sentence, each with one '{}'.
        batch_tokens: Maximum tokens per batch; None chooses by device.
        progress: Called after every batch.

    Returns:
        (prompts, width) float32 on the text encoder's device, rows of unit norm.

    Raises:
        CheckpointError: The features are zero or not finite.
    """
    first = next(text_tower.parameters())
    if batch_tokens is None:
        batch_tokens = BATCH_TOKENS.get(first.device.type, BATCH_TOKENS_ELSEWHERE)
    prompts = [fill(template, query) for query in queries for template in templates]
    token_ids = tokenizer(prompts)
    if text_tower.causal:
        token_ids, lengths = _padded(token_ids, context=len(cast("Tensor", text_tower.positions)))
    else:
        lengths = torch.full((len(prompts),), token_ids.shape[1])
    features: Tensor | None = None
    done = 0
    for rows, length in _batches(lengths, batch_tokens):
        batch = token_ids[rows, :length].to(first.device)
        encoded = F.normalize(text_tower(batch).float(), dim=-1)
        if features is None:
            features = encoded.new_empty(len(prompts), encoded.shape[-1])
        features[rows.to(first.device)] = encoded
        done += len(rows)
        if progress is not None:
            progress(done, len(prompts))
    if features is None:
        raise ValueError("encode_queries needs at least one query and one template.")
    means = F.normalize(features.view(len(queries), len(templates), -1).mean(1), dim=-1)
    if not bool(((means.square().sum(1) - 1).abs() < 1e-3).all()):  # NaN compares False
        raise CheckpointError(
            f"The text encoder's features are zero or not finite in {first.dtype}: "
            "the checkpoint is damaged or needs dtype 'float32'."
        )
    return means


def prompt_lengths(token_ids: Tensor) -> Tensor:
    """Return the length of every sentence up to its end token, (sentences,).

    A row may end in repeated ids. The first of them may be the end token, the rest are padding.

    Args:
        token_ids: (sentences, tokens), padded on the right.
    """
    differs = token_ids != token_ids[:, -1:]
    positions = torch.arange(1, token_ids.shape[1] + 1, device=token_ids.device)
    return (differs * positions).amax(1) + 1


def _padded(token_ids: Tensor, *, context: int) -> tuple[Tensor, Tensor]:
    """Return ids with more padding where it is needed, and the length of every sentence with its.

    Args:
        token_ids: (sentences, tokens), padded on the right.
        context: Most tokens of a sentence.

    Returns:
        (sentences, tokens) and (sentences,): each a multiple of `LENGTH_STEP`, or the context.
    """
    steps = (prompt_lengths(token_ids) + LENGTH_STEP - 1) // LENGTH_STEP
    lengths = (steps * LENGTH_STEP).clamp(max=context)
    missing = max(0, int(lengths.max()) - token_ids.shape[1])
    return torch.cat([token_ids, token_ids[:, -1:].expand(-1, missing)], dim=1), lengths


def _batches(lengths: Tensor, batch_tokens: int) -> Iterator[tuple[Tensor, int]]:
    """Yield the rows of each batch and their length, the longest first."""
    for length in reversed(lengths.unique().tolist()):
        rows = (lengths == length).nonzero().flatten()
        for part in rows.split(max(1, batch_tokens // length)):
            yield part, length


class TextEncoder:
    """Embeds prompts with one text encoder and template set, each prompt only once.

    Looks in memory, then on disk. Missing prompts are encoded in chunks that are stored as soon as
    they are done, so an interruption loses little.
    """

    def __init__(
        self,
        text_tower: PromptTower,
        tokenizer: PromptTokenizer,
        *,
        fingerprint: str,
        width: int,
        templates: str | Sequence[str] = "imagenet80",
        cache: Path | str | bool | None = True,
    ) -> None:
        """Bind a text encoder; encodes nothing yet.

        Args:
            text_tower: Token ids (n, tokens) -> features (n, width).
            tokenizer: Sentences -> token ids.
            fingerprint: Identifies the text encoder's weights.
            width: Length of an embedding.
            templates: As for `resolve_templates`.
            cache: True keeps embeddings in the default folder, a path in that folder; False or None
                keeps them in memory only.

        Raises:
            InputError: The templates cannot be used.
        """
        self.templates = resolve_templates(templates)
        self._tower = text_tower
        self._tokenizer = tokenizer
        self._width = width
        self._memory: dict[str, NDArray[np.float32]] = {}
        self._checked: set[str] = set()
        self._english = isinstance(tokenizer, Tokenizer) and is_english(tokenizer)
        self._cache = open_text_cache(
            cache,
            fingerprint=fingerprint,
            templates=self.templates,
            dtype=next(text_tower.parameters()).dtype,
            width=width,
        )

    @classmethod
    def of(
        cls,
        checkpoint: Checkpoint,
        *,
        templates: str | Sequence[str] = "imagenet80",
        cache: Path | str | bool | None = True,
    ) -> TextEncoder:
        """Bind the text encoder of a checkpoint; other arguments as above."""
        check_kind("checkpoint", checkpoint, Checkpoint)
        return cls(
            checkpoint.model.text,
            checkpoint.tokenizer,
            fingerprint=checkpoint.fingerprint,
            width=checkpoint.model.config.projection_dim,
            templates=templates,
            cache=cache,
        )

    def encode(self, queries: Sequence[str], *, progress: Progress | None = None) -> Tensor:
        """Return embeddings (prompts, width) in the given order, float32 on the encoder's device.

        Args:
            queries: Prompts; a repeated one is encoded once.
            progress: Called with prompts done and prompts in total, if any are missing.

        Raises:
            CheckpointError: The features are zero or not finite.
        """
        check_kind("queries", queries, list, tuple)
        for query in queries:
            check_kind("a prompt", query, str)
        if self._english and (warning := warning_about(queries)):
            self._english = False  # said once
            _logger.warning("%s", warning)
        self._warn_of_cut(queries)
        found = {query: self._look_up(query) for query in queries}
        missing = [query for query, embedding in found.items() if embedding is None]
        found.update(self._encode_missing(missing, progress))
        rows = [row for query in queries if (row := found[query]) is not None]
        table = np.stack(rows) if rows else np.empty((0, self._width), np.float32)
        return torch.as_tensor(table, device=next(self._tower.parameters()).device)

    def _warn_of_cut(self, queries: Sequence[str]) -> None:
        """Say once of each prompt that the context cannot hold what is not read of it."""
        if not isinstance(self._tokenizer, Tokenizer):
            return
        longest = max(self.templates, key=lambda template: len(template.encode()))
        for query in queries:
            sentence = fill(longest, query)
            # A token is at least a byte, so most prompts need no closer look.
            fits = len(sentence.encode()) + 2 <= self._tokenizer.context_length
            if fits or query in self._checked:
                continue
            self._checked.add(query)
            if beyond := self._tokenizer.beyond(sentence):
                _logger.warning(
                    "%s is longer than the model's %d tokens: of %r the end %r is not read. "
                    "Shorten it; prompts that differ only there are the same to the model.",
                    reprlib.repr(query),
                    self._tokenizer.context_length,
                    longest if len(longest) < 60 else reprlib.repr(longest),
                    beyond if len(beyond) < 60 else "..." + beyond[-57:],
                )

    def _look_up(self, query: str) -> NDArray[np.float32] | None:
        embedding = self._memory.get(query)
        if embedding is None and self._cache is not None:
            embedding = self._cache.get(query)
        if embedding is not None:
            self._remember(query, embedding)
        return embedding

    def _encode_missing(
        self, queries: Sequence[str], progress: Progress | None
    ) -> dict[str, NDArray[np.float32]]:
        encoded: dict[str, NDArray[np.float32]] = {}
        step = max(1, CHUNK_PROMPTS // len(self.templates))
        for start in range(0, len(queries), step):
            chunk = queries[start : start + step]
            rows = encode_queries(
                self._tower,
                self._tokenizer,
                chunk,
                self.templates,
                progress=self._shifted(progress, start, len(queries)),
            )
            for query, row in zip(chunk, rows.cpu().numpy(), strict=True):
                encoded[query] = row.copy()  # a copy, so that dropping it frees the memory
                self._remember(query, encoded[query])
                if self._cache is not None:
                    self._cache.put(query, encoded[query])
        return encoded

    def _shifted(self, progress: Progress | None, start: int, queries: int) -> Progress | None:
        """Convert the progress of a chunk to that of the whole."""
        if progress is None:
            return None
        per_query = len(self.templates)
        return lambda done, _: progress(start * per_query + done, queries * per_query)

    def _remember(self, query: str, embedding: NDArray[np.float32]) -> None:
        """Keep an embedding as the most recently used; beyond the limit, drop the oldest."""
        self._memory.pop(query, None)
        self._memory[query] = embedding
        if len(self._memory) > MEMORY_QUERIES:
            self._memory.pop(next(iter(self._memory)), None)
