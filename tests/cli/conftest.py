"""A tiny random checkpoint, pictures, and the command line run in this process."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from lhtclip.checkpoints.checkpoint import TOKENIZER_FILE, save_checkpoint
from lhtclip.cli import console
from lhtclip.clip.config import ClipConfig, TextConfig, VisionConfig
from lhtclip.clip.model import Clip

START, END = "<start>", "<end>"
WORDS = ["a photo of a cat", "the grass", "blue sky", "man in a shirt", "rider", "road", "car"]


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def paths(self) -> list[Path]:
        return [Path(line) for line in self.out.splitlines()]

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Outcome]
Draw = Callable[..., Path]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LHTCLIP_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def progress_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every report of progress be written, though stderr is no terminal."""
    monkeypatch.setattr(console, "OFF_A_TERMINAL", 0.0)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        WORDS,
        trainers.BpeTrainer(
            vocab_size=300,
            special_tokens=[START, END],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}", special_tokens=[(START, 0), (END, 1)]
    )
    tokenizer.save(str(folder / TOKENIZER_FILE))
    shape = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    model = Clip(
        ClipConfig(
            vision=VisionConfig(**shape, image_size=32, patch_size=16),
            text=TextConfig(
                **shape,
                vocab_size=tokenizer.get_vocab_size(),
                max_position_embeddings=32,
                eos_token_id=1,
            ),
            projection_dim=16,
        )
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.4 * torch.randn(parameter.shape, generator=generator))
    save_checkpoint(model, folder, dtype=torch.float32)
    return folder


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    """Write a picture of coloured noise below tmp_path, and return its path."""

    def write(name: str, *, height: int = 40, width: int = 56, seed: int = 0) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        blocks = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(blocks).resize((width, height), Image.Resampling.NEAREST).save(path)
        return path

    return write


@pytest.fixture
def lhtclip(
    capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Run the command line in tmp_path."""
    from lhtclip.cli import main

    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Outcome:
        capfdbinary.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capfdbinary.readouterr()
        return Outcome(code, os.fsdecode(captured.out), os.fsdecode(captured.err))

    return run


@pytest.fixture
def segment(lhtclip: Run, checkpoint: Path) -> Run:
    """Run `lhtclip segment` with the tiny model."""

    def run(*arguments: object, classes: str | None = "cat, grass|lawn, sky") -> Outcome:
        words = () if classes is None else ("--classes", classes)
        fast = ("--model", checkpoint, "--templates", "plain", "--dtype", "float32")
        sizes = ("--short-side", 32, "--window", 32, "--stride", 16)
        return lhtclip("segment", *words, *fast, *sizes, *arguments)  # the last one counts

    return run
