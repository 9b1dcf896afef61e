"""One graph for all tests that need one: SCLIP with every technique, and the whole last block."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from lhtclip import Segmenter
from lhtclip.encoder import DenseEncoder
from lhtclip.engines.export import Agreement, export_graph
from tests.encoders import TWO_LAYERS
from tests.evaluation.runs import tiny_segmenter
from tests.models import tiny_clip


@dataclass(frozen=True)
class Exported:
    """A segmenter, and its encoder as a graph."""

    segmenter: Segmenter
    path: Path
    agreement: Agreement

    @property
    def encoder(self) -> DenseEncoder:
        return self.segmenter.encoder


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    segmenter = tiny_segmenter(
        model=tiny_clip(layers=2), method="sclip", lht=TWO_LAYERS, residual=True, mlp=True
    )
    path = tmp_path_factory.mktemp("graph") / "graph.onnx"
    agreement = export_graph(segmenter.encoder, path, pixels=segmenter.checkpoint.pixels)
    return Exported(segmenter, path, agreement)


def assert_labels_equal(given: Segmenter, expected: Segmenter) -> None:
    """Compare embeddings, labels and scores of two segmenters, for two lists of words."""
    blocks = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    image = blocks.repeat(12, axis=0).repeat(11, axis=1)
    one, two = expected.encode(image), given.encode(image)
    assert (one.embeddings - two.embeddings).abs().max() < 1e-5
    for words in (["cat", "grass", "sky", "road", "car"], ["dog", "pizza", "sea", "tree"]):
        wanted, found = one.segment(words), two.segment(words)
        assert len(np.unique(wanted.labels)) > 1
        assert (wanted.labels == found.labels).mean() > 0.999
        np.testing.assert_allclose(wanted.scores, found.scores, atol=1e-4)
