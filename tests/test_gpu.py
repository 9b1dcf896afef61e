"""What only a CUDA device can show; `python -m benchmarks.gpu` runs these tests too."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from lhtclip import LhtSettings, Segmenter
from lhtclip.datasets.scene_files import bundled_scenes
from lhtclip.decoding.decode import decode
from lhtclip.decoding.settings import DecodeSettings
from lhtclip.encoder import DenseEncoder
from lhtclip.engines.compiled import CompiledEncoder
from lhtclip.image.windows import plan_windows
from lhtclip.techniques.atr import AtrSettings
from lhtclip.techniques.she import SheSettings
from tests.encoders import ALL, HEADS_CHOSEN, SSR
from tests.models import tiny_clip, tiny_pixels

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
SMOOTH = LhtSettings(SSR, AtrSettings(), SheSettings(HEADS_CHOSEN, beta=0.0))  # nothing jumps


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("method", ["sclip", "naclip", "resclip", "gem"])
def test_encoders_are_near_those_on_the_cpu(method: str, dtype: torch.dtype) -> None:
    pixels = tiny_pixels()
    exact = DenseEncoder(tiny_clip(), method=method, lht=SMOOTH)(pixels)
    encoder = DenseEncoder(tiny_clip().to("cuda", dtype), method=method, lht=SMOOTH)
    found = encoder(pixels.to("cuda", dtype))
    assert found.dtype == torch.float32
    assert (found.cpu() * exact).sum(dim=-1).min() > (0.9999 if dtype == torch.float32 else 0.98)


@pytest.mark.parametrize("method", ["sclip", "naclip", "resclip", "gem", "clip-surgery"])
def test_encoders_never_wait(method: str) -> None:
    encoder = DenseEncoder(tiny_clip().to("cuda"), method=method, lht=ALL)
    pixels = tiny_pixels().to("cuda")
    encoder(pixels)
    torch.cuda.set_sync_debug_mode("error")
    try:
        encoder(pixels)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("size", [(48, 61), (300, 400)], ids=str)
def test_decoding_is_that_on_the_cpu(size: tuple[int, int]) -> None:
    plan = plan_windows(48, 64, window=32, stride=16)
    logits = torch.randn(len(plan.tops), len(plan.lefts), 4, 4, 9)
    how, classes = DecodeSettings(threshold=0.2, area_threshold=0.05), (0, 0, 1, 2, 3, 4, 4, 5, 6)
    labels, scores = decode(logits, plan, size, classes, 7, how)
    found = decode(logits.cuda(), plan, size, classes, 7, how)
    assert (found[0] == labels).mean() > 0.999
    np.testing.assert_allclose(found[1], scores, atol=1e-3)


def test_compiled_encoders_are_near() -> None:
    encoder = DenseEncoder(tiny_clip(layers=2).to("cuda"))
    compiled = CompiledEncoder(encoder)
    for batch in (3, 1, 5):
        pixels = tiny_pixels(batch, 32, 32).to("cuda")
        torch.testing.assert_close(compiled(pixels), encoder(pixels), rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("dtype", "equal"), [("float32", 0.995), ("bfloat16", 0.95), ("float16", 0.98)]
)
def test_the_bundled_model_labels_as_on_the_cpu(dtype: str, equal: float) -> None:
    ours, theirs = (
        Segmenter.from_pretrained("bundled", device=device, dtype=chosen)
        for device, chosen in (("cuda", dtype), ("cpu", "float32"))
    )
    for scene in bundled_scenes()[:3]:
        names = list(scene.names)
        labels = theirs.segment(scene.image, names).labels
        assert (ours.segment(scene.image, names).labels == labels).mean() > equal
