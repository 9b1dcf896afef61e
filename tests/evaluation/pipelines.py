"""A tiny model, pictures and words for it, and the package beside the literal protocol."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lhtclip.checkpoints.checkpoint import Checkpoint
from lhtclip.clip.config import PixelConfig
from lhtclip.clip.model import Clip
from lhtclip.decoding.settings import DecodeSettings
from lhtclip.encoder import DenseEncoder
from lhtclip.evaluation.protocol import Protocol
from lhtclip.image.pixels import to_pixels
from lhtclip.image.windows import WindowSettings
from lhtclip.segmentation import Segmentation
from lhtclip.segmenter import Segmenter
from lhtclip.text.embeddings import TextEncoder
from lhtclip.text.vocabulary import Vocabulary
from tests.evaluation import literal_protocol
from tests.evaluation.literal_protocol import Outcome, Picture
from tests.models import tiny_clip


def varied_clip() -> Clip:
    """Patches and words as different as in a trained CLIP; double, so that rounding is none."""
    model = tiny_clip()
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(TOKENS, model.config.text.hidden_size, generator=generator)
    model.text.token_embedding = torch.nn.Embedding.from_pretrained(table)
    last = len(model.vision.blocks) - 1
    for name, tensor in model.named_parameters():
        if name == f"vision.blocks.{last}.attention.in_projection.weight":
            tensor *= 3  # sharper attention
        elif name.endswith("final_norm.bias"):
            tensor *= 0  # nothing in common
    return model.double()


class WordTokenizer:
    """A token for each word, hardly ever the same for two, and the tiny tower's end token."""

    def __call__(self, prompts: Sequence[str]) -> Tensor:
        rows = [
            [END + 1 + zlib.crc32(word.encode()) % (TOKENS - END - 1) for word in prompt.split()]
            for prompt in prompts
        ]
        longest = 1 + max(map(len, rows))
        return torch.tensor([row + [END] * (longest - len(row)) for row in rows])


TOKENS = 65536
END = 63
MODEL = varied_clip()
PIXELS = PixelConfig(
    mean=tuple(level / 255 for level in literal_protocol.MEAN),  # the publications round them
    std=tuple(level / 255 for level in literal_protocol.SPREAD),
)
CHECKPOINT = Checkpoint(
    MODEL, cast("Any", WordTokenizer()), PIXELS, Path("nowhere"), fingerprint="tiny"
)


@cache
def literal_texts(words: tuple[str, ...], templates: tuple[str, ...]) -> Tensor:
    return literal_protocol.text_features(MODEL.text, WordTokenizer(), words, templates)


COLOURS = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "white": (255, 255, 255),
    "black": (0, 0, 0),
    "yellow": (255, 255, 0),
    "cyan": (0, 255, 255),
    "pink": (255, 0, 255),
}
ENCODER = DenseEncoder(MODEL, method="sclip")


class ColourTexts:
    """Stands in for a text tower: a colour's word is embedded as patches of that colour are."""

    def encode(self, words: Sequence[str]) -> Tensor:
        return torch.stack([self._embedding(COLOURS[word]) for word in words])

    def _embedding(self, colour: tuple[int, int, int]) -> Tensor:
        plain = np.full((32, 32, 3), colour[::-1], dtype=np.uint8)
        patches = ENCODER(literal_protocol.normalised(plain))[0].flatten(0, 1)
        return torch.nn.functional.normalize(patches.mean(dim=0), dim=0)


COLOUR_TEXTS = ColourTexts()
TEXTS = TextEncoder.of(CHECKPOINT, templates=("a photo of a {}.", "the {}"), cache=False)
PLAIN = DecodeSettings()
WINDOWS = WindowSettings(short_side=48, window=32, stride=16)  # a seventh of the real thing
WORDS = Vocabulary.of(list(COLOURS))
SYNONYMS = Vocabulary.of(["red|yellow", "cyan|blue", "white"], background="black|green|pink")


def resize_as_here(image: Picture, size: tuple[int, int]) -> Picture:
    levels = to_pixels(image, size, mean=(0, 0, 0), std=(1 / 255, 1 / 255, 1 / 255))
    return levels.round().to(torch.uint8).permute(1, 2, 0).numpy()


@dataclass(frozen=True)
class Pipeline:
    """The same settings for the package and for the literal version."""

    windows: WindowSettings = WINDOWS
    decoding: DecodeSettings = PLAIN
    vocabulary: Vocabulary = WORDS
    encoder: DenseEncoder = ENCODER
    texts: TextEncoder | ColourTexts = COLOUR_TEXTS

    @classmethod
    def of(cls, protocol: Protocol, *, texts: TextEncoder) -> Pipeline:
        encoder = DenseEncoder(
            MODEL,
            method=protocol.method_named(protocol.method),
            residual=protocol.residual,
            mlp=protocol.mlp,
        )
        return cls(protocol.windows, protocol.decoding, protocol.vocabulary(), encoder, texts)

    @property
    def segmenter(self) -> Segmenter:
        return Segmenter(
            CHECKPOINT,
            self.encoder,
            cast("TextEncoder", self.texts),
            windows=self.windows,
            decoding=self.decoding,
        )

    def segment(self, path: Path) -> Segmentation:
        return self.segmenter.encode(path).segment(self.vocabulary)

    def segment_literally(self, path: Path) -> Outcome:
        words = self.vocabulary.queries
        by_opencv = self.windows.resize == "opencv"
        return literal_protocol.segment(
            path,
            self.encoder,
            literal_texts(words, self.texts.templates)
            if isinstance(self.texts, TextEncoder)
            else self.texts.encode(words),
            self.vocabulary,
            windows=self.windows,
            decoding=self.decoding,
            resize=literal_protocol.resize_by_opencv if by_opencv else resize_as_here,
        )

    def check(self, path: Path) -> Outcome:
        """Compare the two; return the literal outcome."""
        found, expected = self.segment(path), self.segment_literally(path)
        assert found.labels.shape == expected.labels.shape
        np.testing.assert_allclose(found.scores, expected.scores, rtol=0, atol=1e-5)
        decided = expected.margin > 1e-5
        assert decided.mean() > 0.99
        np.testing.assert_array_equal(found.labels[decided], expected.labels[decided])
        return expected


def picture(height: int = 54, width: int = 72, *, seed: int = 0) -> Picture:
    """Squares of the named colours under noise."""
    generator = np.random.default_rng(seed)
    squares = generator.integers(0, len(COLOURS), (height // 9 + 1, width // 9 + 1))
    levels = np.array(list(COLOURS.values()))[squares].repeat(9, axis=0).repeat(9, axis=1)
    noise = generator.normal(0, 20, (height, width, 3))
    return np.clip(levels[:height, :width] + noise, 0, 255).astype(np.uint8)


def saved(folder: Path, image: Picture, name: str = "picture.png") -> Path:
    path = folder / name
    Image.fromarray(image).save(path)
    return path
