"""The graph of a text tower gives torch's embeddings, at any length of a batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lhtclip.checkpoints.checkpoint import load_checkpoint
from lhtclip.engines.onnx_runtime import open_session
from lhtclip.engines.text_graph import EMBEDDINGS, TOKENS, export_text_tower
from lhtclip.errors import InputError


def test_sentences_as_in_torch(tmp_path: Path) -> None:
    checkpoint = load_checkpoint("bundled", dtype="float32")
    path = tmp_path / "text.onnx"
    assert export_text_tower(checkpoint.model.text, path) > 1 - 1e-5
    assert [each.name for each in tmp_path.iterdir()] == ["text.onnx"]
    session = open_session(path)
    assert [each.name for each in session.get_outputs()] == [EMBEDDINGS]
    for sentences in (["a cat"], ["a photo of a small dog.", "sky", "two of them " * 30]):
        tokens = checkpoint.tokenizer(sentences)
        (found,) = session.run(None, {TOKENS: tokens.numpy()})
        with torch.inference_mode():
            wanted = F.normalize(checkpoint.model.text(tokens), dim=-1)
        assert np.abs(found - wanted.numpy()).max() < 1e-5


def test_only_clip(tmp_path: Path) -> None:
    from lhtclip.clip.siglip.config import SiglipTextConfig
    from lhtclip.clip.siglip.text import SiglipTextTower

    config = SiglipTextConfig(
        vocab_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=2
    )
    with pytest.raises(InputError, match="SiglipTextTower"):
        export_text_tower(SiglipTextTower(config, 8), tmp_path / "text.onnx")
    assert not any(tmp_path.iterdir())
