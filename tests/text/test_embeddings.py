from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lhtclip.checkpoints.checkpoint import load_checkpoint
from lhtclip.errors import CheckpointError, InputError
from lhtclip.text import embeddings as text_embeddings
from lhtclip.text.embeddings import LENGTH_STEP, TextEncoder, encode_queries, prompt_lengths
from lhtclip.text.templates import resolve_templates

CONTEXT = 24
WIDTH = 16
START, END = 256, 257

QUERIES = ("car", "a man in a shirt", "road", "sky", "x")
TEMPLATES = ("{}", "a {}.", "the {}!")


class ByteTokenizer:
    """Bytes between a start and an end token, padded with `pad` to the longest or to `to`."""

    def __init__(self, *, pad: int = END, to: int | None = None) -> None:
        self.pad = pad
        self.to = to
        self.calls: list[list[str]] = []

    def __call__(self, prompts: Sequence[str]) -> Tensor:
        self.calls.append(list(prompts))
        rows = [[START, *prompt.encode()[: CONTEXT - 2], END] for prompt in prompts]
        width = self.to or max(map(len, rows))
        return torch.tensor([row + [self.pad] * (width - len(row)) for row in rows])


class TinyTower(nn.Module):
    """A causal transformer of two layers, read out at the first end token, not normalised."""

    causal = True

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.tokens = nn.Embedding(258, WIDTH)
            self.positions = nn.Parameter(torch.randn(CONTEXT, WIDTH))
            layer = nn.TransformerEncoderLayer(WIDTH, 2, 32, dropout=0.0, batch_first=True)
            self.blocks = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.eval().requires_grad_(False)
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, token_ids: Tensor) -> Tensor:
        self.shapes.append(tuple(token_ids.shape))
        length = token_ids.shape[1]
        x = self.tokens(token_ids) + self.positions[:length]
        mask = torch.ones(length, length, dtype=torch.bool).triu(1) if self.causal else None
        return 3 * self.read_out(self.blocks(x, mask=mask), token_ids)

    def read_out(self, x: Tensor, token_ids: Tensor) -> Tensor:
        return x[torch.arange(len(x)), (token_ids == END).int().argmax(1)]


class TinyBidirectionalTower(TinyTower):
    """Sees the padding too, and is read out at the last token of the context."""

    causal = False

    def read_out(self, x: Tensor, token_ids: Tensor) -> Tensor:
        assert token_ids.shape[1] == CONTEXT
        return x[:, -1]


class Interrupted(Exception):
    pass


class FailingTower(TinyTower):
    """Is interrupted at a certain call."""

    def __init__(self, at_call: int) -> None:
        super().__init__()
        self.at_call = at_call

    def forward(self, token_ids: Tensor) -> Tensor:
        if len(self.shapes) == self.at_call:
            raise Interrupted
        return super().forward(token_ids)


def unit(vector: Tensor) -> Tensor:
    return vector / vector.square().sum().sqrt()


def one_prompt_at_a_time(
    tower: nn.Module, queries: Sequence[str], templates: Sequence[str], *, pad: int = END
) -> Tensor:
    """The definition, literally: each prompt alone, padded to the whole context."""
    tokenizer = ByteTokenizer(pad=pad, to=CONTEXT)
    means: list[Tensor] = []
    for query in queries:
        features: list[Tensor] = []
        for template in templates:
            (feature,) = tower(tokenizer([template.format(query)]))
            features.append(unit(feature.double()))
        means.append(unit(torch.stack(features).mean(0)))
    return torch.stack(means).float()


def encoder(tower: nn.Module, **options: Any) -> TextEncoder:
    defaults: dict[str, Any] = {
        "tokenizer": ByteTokenizer(),
        "fingerprint": "tiny",
        "width": WIDTH,
        "templates": TEMPLATES,
        "cache": None,
    }
    return TextEncoder(tower, **(defaults | options))


@pytest.fixture
def two_queries_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_embeddings, "CHUNK_PROMPTS", 2 * len(TEMPLATES))


@pytest.mark.parametrize("batch_tokens", [1, 30, 60, None])
@pytest.mark.parametrize("pad", [END, 0])
def test_agrees_with_one_prompt_at_a_time(batch_tokens: int | None, pad: int) -> None:
    tower = TinyTower()
    embeddings = encode_queries(
        tower, ByteTokenizer(pad=pad), QUERIES, TEMPLATES, batch_tokens=batch_tokens
    )
    assert embeddings.shape == (len(QUERIES), WIDTH)
    assert embeddings.dtype == torch.float32
    expected = one_prompt_at_a_time(tower, QUERIES, TEMPLATES)
    torch.testing.assert_close(embeddings, expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(embeddings.square().sum(1), torch.ones(len(QUERIES)))


@pytest.mark.parametrize("batch_tokens", [1, 60, None])
@pytest.mark.parametrize("pad", [END, 0])
def test_padding_stays_where_the_tower_sees_it(batch_tokens: int | None, pad: int) -> None:
    tower = TinyBidirectionalTower()
    embeddings = encode_queries(
        tower,
        ByteTokenizer(pad=pad, to=CONTEXT),
        QUERIES,
        TEMPLATES,
        batch_tokens=batch_tokens,
    )
    expected = one_prompt_at_a_time(tower, QUERIES, TEMPLATES, pad=pad)
    torch.testing.assert_close(embeddings, expected, atol=1e-6, rtol=0)
    prompts = [count for count, _ in tower.shapes[: -len(QUERIES) * len(TEMPLATES)]]
    budget = {1: 1, 60: 60 // CONTEXT, None: len(QUERIES) * len(TEMPLATES)}
    assert max(prompts) == budget[batch_tokens]


def test_prompt_beyond_the_context() -> None:
    tower = TinyTower()
    queries = ("a phrase that is far longer than the context", "car")
    embeddings = encode_queries(tower, ByteTokenizer(), queries, TEMPLATES)
    expected = one_prompt_at_a_time(tower, queries, TEMPLATES)
    torch.testing.assert_close(embeddings, expected, atol=1e-6, rtol=0)


def test_batches_keep_to_the_budget_and_their_own_length() -> None:
    tower = TinyTower()
    encode_queries(tower, ByteTokenizer(), QUERIES, TEMPLATES, batch_tokens=60)
    assert all(prompts * tokens <= 60 for prompts, tokens in tower.shapes)
    assert sum(prompts for prompts, _ in tower.shapes) == len(QUERIES) * len(TEMPLATES)
    lengths = [tokens for _, tokens in tower.shapes]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[-1] < lengths[0]
    assert all(tokens % LENGTH_STEP == 0 or tokens == CONTEXT for tokens in lengths)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_an_embedding_does_not_depend_on_its_company(dtype: str) -> None:
    """A CPU's softmax rounds differently from 16 tokens on; short prompts stay short here."""
    checkpoint = load_checkpoint("bundled", dtype=dtype)
    encode = partial(
        encode_queries,
        checkpoint.model.text,
        checkpoint.tokenizer,
        templates=resolve_templates("imagenet80"),
    )
    queries = ("dog", "jigsaw piece", "old double-decker bus full of people", "table tennis paddle")
    together, alone = encode(queries), torch.cat([encode([query]) for query in queries])
    assert torch.equal(together, alone)


@pytest.mark.parametrize("pad", [END, 0])
def test_prompt_lengths_reach_the_end_token(pad: int) -> None:
    prompts = ["", "a", "aaaa", "car"]
    lengths = prompt_lengths(ByteTokenizer(pad=pad)(prompts))
    ends = torch.tensor([len(prompt) + 2 for prompt in prompts])
    assert (lengths >= ends).all()
    assert (lengths <= ends + (pad != END)).all()


def test_progress_counts_prompts() -> None:
    seen: list[tuple[int, int]] = []
    encode_queries(
        TinyTower(),
        ByteTokenizer(),
        QUERIES,
        TEMPLATES,
        batch_tokens=60,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert {total for _, total in seen} == {15}
    assert seen[-1] == (15, 15)


@pytest.mark.usefixtures("two_queries_a_chunk")
def test_progress_over_chunks() -> None:
    seen: list[tuple[int, int]] = []
    texts = encoder(TinyTower())
    texts.encode(QUERIES, progress=lambda done, total: seen.append((done, total)))
    assert {(6, 15), (12, 15), (15, 15)} <= set(seen)
    assert seen == sorted(set(seen))
    seen.clear()
    texts.encode(QUERIES, progress=lambda done, total: seen.append((done, total)))
    assert not seen  # nothing was left to do


def test_low_precision_tower_gives_float32_unit_rows() -> None:
    embeddings = encode_queries(TinyTower().bfloat16(), ByteTokenizer(), QUERIES, TEMPLATES)
    assert embeddings.dtype == torch.float32
    torch.testing.assert_close(embeddings.square().sum(1), torch.ones(len(QUERIES)))


def test_features_that_are_not_finite_are_refused_and_not_kept(tmp_path: Path) -> None:
    tower = TinyTower()
    tower.tokens.weight[ord("x")] = float("nan")
    texts = encoder(tower, cache=tmp_path)
    with pytest.raises(CheckpointError, match=r"not finite in torch\.float32"):
        texts.encode(["x"])
    assert list(tmp_path.iterdir()) == []


def test_no_query_or_template() -> None:
    with pytest.raises(InputError, match="No template"):
        encoder(TinyTower(), templates=[])
    assert encoder(TinyTower()).encode([]).shape == (0, WIDTH)


def test_order_and_repetition() -> None:
    tower = TinyTower()
    texts = encoder(tower)
    embeddings = texts.encode(["road", "car", "road"])
    expected = one_prompt_at_a_time(tower, ["road", "car", "road"], TEMPLATES)
    torch.testing.assert_close(embeddings, expected, atol=1e-6, rtol=0)
    assert embeddings.dtype == torch.float32
    assert not embeddings.is_inference()
    reordered = texts.encode(["car", "road"])
    torch.testing.assert_close(reordered, embeddings[[1, 0]], atol=0, rtol=0)


def test_each_phrase_is_encoded_once(tmp_path: Path) -> None:
    tokenizer = ByteTokenizer()
    texts = encoder(TinyTower(), tokenizer=tokenizer, cache=tmp_path)
    texts.encode(["road", "car", "road"])
    texts.encode(["car", "sky"])
    prompts = [prompt for call in tokenizer.calls for prompt in call]
    assert prompts == [t.format(query) for query in ("road", "car", "sky") for t in TEMPLATES]


def test_disk_cache_serves_another_process(tmp_path: Path) -> None:
    first = encoder(TinyTower(), cache=tmp_path).encode(QUERIES)
    tower = TinyTower()
    again = encoder(tower, cache=tmp_path).encode(QUERIES)
    assert tower.shapes == []
    torch.testing.assert_close(again, first, atol=0, rtol=0)


@pytest.mark.parametrize(
    ("options", "half"),
    [
        ({"fingerprint": "other"}, False),  # other weights
        ({"templates": "plain"}, False),  # other sentences
        ({}, True),  # other precision
        ({"cache": False}, False),  # switched off
    ],
)
def test_other_keys_are_encoded_anew(tmp_path: Path, options: dict[str, Any], half: bool) -> None:
    encoder(TinyTower(), cache=tmp_path).encode(QUERIES)
    tower = TinyTower(seed=1)
    if half:
        tower = tower.bfloat16()
    embeddings = encoder(tower, **({"cache": tmp_path} | options)).encode(QUERIES)
    templates = resolve_templates(options.get("templates", TEMPLATES))
    expected = encode_queries(tower, ByteTokenizer(), QUERIES, templates)
    torch.testing.assert_close(embeddings, expected.clone(), atol=1e-6, rtol=0)


def test_broken_file_is_encoded_anew(tmp_path: Path) -> None:
    first = encoder(TinyTower(), cache=tmp_path).encode(QUERIES)
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert len(files) == len(QUERIES)
    files[0].write_bytes(files[0].read_bytes()[:-3])
    tower = TinyTower()
    again = encoder(tower, cache=tmp_path).encode(QUERIES)
    assert sum(prompts for prompts, _ in tower.shapes) == len(TEMPLATES)  # that one alone
    torch.testing.assert_close(again, first, atol=1e-6, rtol=0)


@pytest.mark.usefixtures("two_queries_a_chunk")
def test_interruption_keeps_finished_chunks(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        encoder(FailingTower(at_call=3), cache=tmp_path).encode(QUERIES)
    tower, tokenizer = TinyTower(), ByteTokenizer()
    embeddings = encoder(tower, tokenizer=tokenizer, cache=tmp_path).encode(QUERIES)
    prompts = [prompt for call in tokenizer.calls for prompt in call]
    assert prompts == [t.format(query) for query in QUERIES[2:] for t in TEMPLATES]
    expected = one_prompt_at_a_time(tower, QUERIES, TEMPLATES)
    torch.testing.assert_close(embeddings, expected, atol=1e-6, rtol=0)


def test_unwritable_cache_does_not_matter(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    embeddings = encoder(TinyTower(), cache=blocked).encode(QUERIES)
    assert embeddings.shape == (len(QUERIES), WIDTH)
    assert len(caplog.records) == 1


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_embeddings, "MEMORY_QUERIES", 2)
    tokenizer = ByteTokenizer()
    texts = encoder(TinyTower(), tokenizer=tokenizer, templates="plain")
    assert texts.encode(QUERIES).shape == (len(QUERIES), WIDTH)  # more than memory holds
    texts.encode(["sky"])
    texts.encode(["road"])  # forgotten: "sky" and "x" were the latest
    texts.encode(["sky"])  # kept: used after "x"
    assert tokenizer.calls == [list(QUERIES), ["road"]]


def test_mean_is_over_directions_not_lengths() -> None:
    class LongOrShort(nn.Module):
        """Prompts of two kinds: short ones far along x, long ones a little along y."""

        causal = True

        def __init__(self) -> None:
            super().__init__()
            self.positions = nn.Parameter(torch.zeros(CONTEXT, 1))

        def forward(self, token_ids: Tensor) -> Tensor:
            long = (token_ids[:, :5] != END).all(1)
            return torch.where(long[:, None], torch.tensor([0.0, 0.1]), torch.tensor([9.0, 0.0]))

    (embedding,) = encode_queries(LongOrShort(), ByteTokenizer(), ["a"], ["{}", "photo of {}"])
    torch.testing.assert_close(embedding.clone(), F.normalize(torch.ones(2), dim=0))
