"""The text tower becomes an ONNX graph: token ids in, an embedding of each sentence out."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim

from lhtclip.clip.text import TextTower
from lhtclip.clip.towers import PromptTower
from lhtclip.engines.int8 import round_weights
from lhtclip.engines.onnx_runtime import open_session
from lhtclip.engines.tracing import trace
from lhtclip.errors import InputError, LhtClipError
from lhtclip.extras import import_extra
from lhtclip.files import put

TOKENS, EMBEDDINGS = "tokens", "embeddings"
_TOLERANCE = 1e-3
_INT8_COSINE = 0.9


class SentenceGraph(nn.Module):
    """What is traced: (sentences, tokens) int64 -> (sentences, E), of unit length."""

    def __init__(self, tower: TextTower) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, tokens: Tensor) -> Tensor:
        """Encode sentences that are padded on the right with the end token."""
        return F.normalize(self.tower(tokens), dim=-1)


def export_text_tower(tower: PromptTower, path: Path, *, int8: bool = False) -> float:
    """Write the graph of a text tower, once it gave torch's numbers.

    Args:
        tower: CLIP's, in float32, on the CPU.
        path: Where to; an older file is replaced.
        int8: Round weight matrices to 8 bits.

    Returns:
        The lowest cosine between the embeddings of the graph and of torch.

    Raises:
        MissingDependencyError: One of the packages of the extra "onnx" is not installed.
        InputError: The text tower is not CLIP's.
        LhtClipError: The graph differs from torch; nothing is written.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        import_extra(package, purpose="Graphs")
    if not isinstance(tower, TextTower):
        raise InputError(
            f"Only CLIP's text tower can become a graph, not a {type(tower).__name__}."
        )
    with TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as place:
        example = (torch.tensor([_sentence(tower, 5), _sentence(tower, 7)]),)
        most = tower.config.max_position_embeddings
        shapes = {TOKENS: {0: Dim("sentences"), 1: Dim("length", min=2, max=most)}}
        written = trace(SentenceGraph(tower), example, shapes, EMBEDDINGS, Path(place, "float32"))
        if int8:
            written = round_weights(written, Path(place, "int8"))
        cosine = _compare(tower, written, least=_INT8_COSINE if int8 else 1 - _TOLERANCE)
        put(written, path)
    return cosine


def _sentence(tower: TextTower, words: int, length: int = 9) -> list[int]:
    """Return some ids, followed by the token at which the tower reads the sentence out."""
    config = tower.config
    largest = config.vocab_size - 1
    end = largest if config.ends_at_largest else config.eos_token_id
    some = ((7 * number + words) % largest for number in range(words))
    return [each + (each >= end) for each in some] + [end] * (length - words)


def _compare(tower: TextTower, path: Path, *, least: float) -> float:
    session = open_session(path)
    most = tower.config.max_position_embeddings
    lengths = (2, min(9, most), most)
    cosines: list[float] = []
    for length in lengths:
        tokens = torch.tensor([_sentence(tower, words, length) for words in range(1, length)])
        (found,) = session.run(None, {TOKENS: tokens.numpy()})
        with torch.inference_mode():
            wanted = tower(tokens)
        cosines.append(float(F.cosine_similarity(torch.from_numpy(found), wanted).min()))
    if not min(cosines) >= least:
        raise LhtClipError(
            f"The text tower's graph differs from torch: the lowest cosine is {min(cosines):.4f}, "
            "so it was not written. Please report this with the versions of torch, onnxscript and "
            "onnxruntime."
        )
    return min(cosines)
