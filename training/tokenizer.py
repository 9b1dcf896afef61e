"""The bundled model's own BPE tokenizer, learned from captions of random scenes."""

from __future__ import annotations

import numpy as np
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from training.captions import caption
from training.scenes import sample_topic
from training.words import THINGS

START, END = "<start>", "<end>"  # ids 0 and 1
CAPTIONS = 20_000


def train_tokenizer(vocabulary_size: int, seed: int) -> Tokenizer:
    """Learn a byte-level BPE, lower-cased, that wraps every prompt in start and end tokens."""
    generator = np.random.default_rng((seed, 1))
    drawn = np.ones((1, len(THINGS)), dtype=np.bool_)
    captions = [
        caption(generator, *sample_topic(generator, (1, 3), drawn))[0] for _ in range(CAPTIONS)
    ]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=[START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(captions, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}", special_tokens=[(START, 0), (END, 1)]
    )
    return tokenizer
