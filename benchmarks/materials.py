"""Inputs of the benchmarks: models of published shapes, cached text embeddings, photographs.

Speed depends only on shapes, so weights, texts and photographs are random, from fixed seeds.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from tokenizers import Tokenizer as RawTokenizer
from tokenizers import models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor

from lhtclip.checkpoints.checkpoint import Checkpoint, load_checkpoint
from lhtclip.checkpoints.hub import BUNDLED_FOLDER
from lhtclip.checkpoints.known_models import BUNDLED
from lhtclip.checkpoints.layout import TOKENIZER_FILE
from lhtclip.clip.config import PixelConfig
from lhtclip.clip.model import Clip
from lhtclip.clip.tokenizer import Tokenizer
from lhtclip.encoder import DenseEncoder
from lhtclip.evaluation.protocol import Protocol
from lhtclip.evaluation.published_protocols import protocol_for
from lhtclip.image.pixels import ImageSource
from lhtclip.paper.random_weights import random_clip
from lhtclip.segmentation import Segmentation
from lhtclip.segmenter import Segmenter
from lhtclip.techniques.atr import AtrSettings, hoyer
from lhtclip.techniques.presets import PRESETS, Preset, preset_for
from lhtclip.text.cache import open_text_cache
from lhtclip.text.embeddings import TextEncoder
from lhtclip.text.templates import fill, resolve_templates
from lhtclip.text.vocabulary import Vocabulary, shipped_classes

ABNORMAL_SHARE = 0.03  # share of patches; in published CLIPs it is a few percent
TEMPLATES = "imagenet80"
_START, _END = "<start>", "<end>"
_PRESETS = {"ViT-B-16": "openai/clip-vit-base-patch16", "ViT-L-14": "openai/clip-vit-large-patch14"}


@lru_cache(maxsize=2)
def checkpoint_of(
    model: str, *, folder: Path, dtype: torch.dtype, device: torch.device
) -> Checkpoint:
    """Return the bundled checkpoint, or one of a published shape with random weights.

    Args:
        model: "bundled", or a name in `SHAPES`.
        folder: Takes the tokenizer of random weights.
        dtype: Of the weights.
        device: Of the weights.
    """
    if model == BUNDLED:
        return load_checkpoint(BUNDLED_FOLDER, dtype=dtype, device=device)
    clip = random_clip(model)
    put_abnormal_tokens(clip)
    text = clip.config.text
    tokenizer = Tokenizer(
        write_tokenizer(folder / TOKENIZER_FILE, end=text.eos_token_id),
        context_length=text.max_position_embeddings,
    )
    clip = clip.to(device=device, dtype=dtype)
    return Checkpoint(clip, tokenizer, PixelConfig(), folder, fingerprint=f"random {model}")


def clip_of(checkpoint: Checkpoint) -> Clip:
    """Return the checkpoint's model, which must be a CLIP and not a SigLIP."""
    if not isinstance(checkpoint.model, Clip):
        raise TypeError("The usual way is implemented only for CLIP.")
    return checkpoint.model


def preset_of(model: str) -> Preset:
    """Return the preset that `Segmenter.from_pretrained` would take for real weights."""
    if model == BUNDLED:
        return preset_for(BUNDLED, BUNDLED_FOLDER, layers=0)
    return PRESETS[_PRESETS[model]]


def put_abnormal_tokens(model: Clip) -> None:
    """Give a few patches large activations in two channels, as in trained CLIPs.

    Random weights alone produce no abnormal token, so ATR would have nothing to replace.
    """
    vision = model.vision
    patches = len(vision.positions) - vision.class_tokens
    places = torch.randperm(patches, generator=torch.Generator().manual_seed(0))
    places = places[: max(1, round(ABNORMAL_SHARE * patches))] + vision.class_tokens
    vision.positions[places, :2] = 1000.0
    vision.pre_norm.weight[:2] = 5.0


def abnormal_share(model: Clip, pixels: Tensor) -> float:
    """Return the share of patches that are abnormal (τ = 0.5) where they enter the last block."""
    vision = model.vision
    x = vision.embed(pixels)
    for block in vision.blocks[:-1]:
        x = block(x)
    abnormal = hoyer(x[:, vision.class_tokens :]) > AtrSettings().threshold
    return float(abnormal.float().mean())


def write_tokenizer(path: Path, *, end: int) -> Path:
    """Write a BPE trained on COCO-Stuff's prompts, with about as many tokens per prompt as CLIP.

    Args:
        path: The file to write.
        end: Id of the end token, above all others; the start token's id is one less.
    """
    raw = RawTokenizer(models.BPE())
    raw.normalizer = normalizers.Lowercase()
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    words = (words[0] for words in shipped_classes("coco_stuff171"))
    prompts = [fill(template, word) for word in words for template in resolve_templates(TEMPLATES)]
    trainer = trainers.BpeTrainer(
        vocab_size=4000,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(prompts, trainer)
    content = json.loads(raw.to_str())
    content["model"]["vocab"] |= {_START: end - 1, _END: end}
    raw = RawTokenizer.from_str(json.dumps(content))
    raw.add_special_tokens([_START, _END])
    raw.post_processor = processors.TemplateProcessing(
        single=f"{_START} $A {_END}", special_tokens=[(_START, end - 1), (_END, end)]
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    raw.save(str(path))
    return path


def known_texts(checkpoint: Checkpoint, queries: Sequence[str], folder: Path) -> TextEncoder:
    """Return a text encoder whose disk cache already holds random embeddings of the prompts."""
    width, dtype = checkpoint.model.config.projection_dim, checkpoint.model.text.positions.dtype
    cache = open_text_cache(
        folder / "cache",
        fingerprint=checkpoint.fingerprint,
        templates=resolve_templates(TEMPLATES),
        dtype=dtype,
        width=width,
    )
    generator = torch.Generator().manual_seed(0)
    rows = F.normalize(torch.randn(len(queries), width, generator=generator), dim=-1).numpy()
    for query, row in zip(queries, rows, strict=True):
        if cache is not None:
            cache.put(query, row)
    return TextEncoder.of(checkpoint, templates=TEMPLATES, cache=folder / "cache")


def segmenter_of(
    checkpoint: Checkpoint,
    encoder: DenseEncoder,
    protocol: Protocol,
    vocabulary: Vocabulary,
    folder: Path,
) -> Segmenter:
    """Return a segmenter with a protocol's settings and cached text embeddings."""
    texts = known_texts(checkpoint, vocabulary.queries, folder)
    texts.encode(vocabulary.queries)
    return Segmenter(
        checkpoint, encoder, texts, windows=protocol.windows, decoding=protocol.decoding
    )


def label(segmenter: Segmenter, image: ImageSource, vocabulary: Vocabulary) -> Segmentation:
    """Label an image from start to finish."""
    return segmenter.encode(image).segment(vocabulary)


def sclip_protocol(dataset: str) -> Protocol:
    """Return SCLIP's settings for a data set, which most publications share."""
    return protocol_for(dataset, "sclip")


def photo(height: int, width: int, *, seed: int = 0) -> NDArray[np.uint8]:
    """Return smooth blobs with a little noise, (height, width, 3), as large in JPEG as a photo."""
    generator = np.random.default_rng(seed)
    blobs = generator.integers(0, 256, (max(2, height // 48), max(2, width // 48), 3))
    smooth = Image.fromarray(blobs.astype(np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    noise = generator.integers(-12, 13, (height, width, 1), dtype=np.int16)
    return np.clip(np.asarray(smooth) + noise, 0, 255).astype(np.uint8)


def save_photo(path: Path, height: int, width: int, *, seed: int = 0) -> Path:
    """Write such an image as JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(photo(height, width, seed=seed)).save(path, quality=90)
    return path
