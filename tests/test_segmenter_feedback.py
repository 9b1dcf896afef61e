"""A method that looks at the words while it encodes, from the tower up to the segmenter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lhtclip import Segmenter, WindowSettings
from lhtclip.datasets.scene_files import bundled_scenes
from lhtclip.decoding.pamr import PamrSettings
from lhtclip.encoder import DenseEncoder
from lhtclip.errors import InputError
from lhtclip.methods import Context, FirstRun, LastAttention
from lhtclip.methods.resclip import RcsSettings
from lhtclip.methods.resclip_feedback import SfrSettings, resclip_with_feedback
from lhtclip.techniques.atr import AtrSettings
from lhtclip.techniques.settings import OFF, LhtSettings
from lhtclip.techniques.she import SheSettings
from lhtclip.techniques.ssr import SsrSettings
from tests.models import PATCH, tiny_clip, tiny_pixels

# As published but for PAMR, whose reach is wider than the tiny images.
SFR = resclip_with_feedback(RcsSettings(), SfrSettings(threshold=0.0, pamr=PamrSettings(1, (1,))))
LHT = LhtSettings(
    ssr=SsrSettings(layers=(3, 4), alpha=0.5),
    atr=AtrSettings(threshold=0.3),
    she=SheSettings(heads=((2, 1), (4, 3)), beta=0.2),
)
SCENES = bundled_scenes()[:2]


def texts(lht: LhtSettings = OFF) -> Tensor:
    """Return what sets some patches of the tiny model apart, so that several texts win."""
    encoder = DenseEncoder(tiny_clip(), method="resclip", lht=lht)
    patches = encoder(tiny_pixels(2, 40, 50))[0].flatten(0, 1)
    mean = F.normalize(patches.mean(dim=0), dim=0)
    return F.normalize((patches - (patches @ mean)[:, None] * mean)[::7], dim=1)


# The tower


@pytest.mark.parametrize("lht", [OFF, LHT], ids=["none", "ATR+SSR+SHE"])
def test_second_run_uses_what_the_first_one_found(lht: LhtSettings) -> None:
    model, pixels = tiny_clip(), tiny_pixels(2, 40, 50)
    first = DenseEncoder(model, method="resclip", lht=lht)(pixels)
    assert SFR.feedback is not None
    found = SFR.feedback(FirstRun(first, texts(lht), pixels, PATCH))
    assert found.unique().numel() > 400

    def mix(attention: LastAttention, x: Tensor, context: Context) -> Tensor:
        return SFR.mix(attention, x, replace(context, feedback=found))

    expected = DenseEncoder(model, method=replace(SFR, mix=mix, feedback=None), lht=lht)(pixels)
    given = DenseEncoder(model, method=SFR, lht=lht)(pixels, texts=texts(lht))
    assert given.shape == (2, 5, 6, 24)
    torch.testing.assert_close(given, expected)
    assert (given - first).abs().max() > 1e-3


def test_batch_is_windows_one_by_one() -> None:
    encoder, pixels = DenseEncoder(tiny_clip(), method=SFR), tiny_pixels(3)
    together = encoder(pixels, texts=texts())
    alone = torch.cat([encoder(one[None], texts=texts()) for one in pixels])
    torch.testing.assert_close(together, alone)


def test_the_tower_asks_for_texts() -> None:
    encoder = DenseEncoder(tiny_clip(), method="resclip-sfr")
    with pytest.raises(InputError, match=r"'resclip-sfr' .* needs texts"):
        encoder(tiny_pixels())


def test_other_methods_do_not_look_at_texts() -> None:
    encoder = DenseEncoder(tiny_clip(), method="resclip")
    assert torch.equal(encoder(tiny_pixels(), texts=texts()), encoder(tiny_pixels()))


# The segmenter


@pytest.fixture(autouse=True, scope="module")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LHTCLIP_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter.from_pretrained(
        "bundled",
        method="resclip-sfr",
        dtype="float32",
        windows=WindowSettings(short_side=64, window=48, stride=32, batch=4),
    )


def test_images_together_are_images_alone(segmenter: Segmenter) -> None:
    images, words = [scene.image for scene in SCENES], list(SCENES[0].names)
    for image, result in zip(images, segmenter.segment(list(images), words), strict=True):
        alone = segmenter.segment(image, words)
        np.testing.assert_array_equal(result.labels, alone.labels)
        np.testing.assert_array_equal(result.scores, alone.scores)


def test_an_encoded_image_runs_the_tower_for_every_vocabulary(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[int] = []
    encode = segmenter.encoder.__call__

    def counted(pixels: Tensor, *, texts: Tensor | None = None) -> Tensor:
        runs.append(len(pixels))
        return encode(pixels, texts=texts)

    monkeypatch.setattr(segmenter, "runner", counted)
    encoded = segmenter.encode(SCENES[0].image)
    assert not runs
    words = list(SCENES[0].names)
    first = encoded.segment(words[:3])
    assert sum(runs) == encoded.plan.count
    second = encoded.segment(words[3:])
    assert sum(runs) == 2 * encoded.plan.count
    np.testing.assert_array_equal(first.scores, encoded.segment(words[:3]).scores)
    assert (first.scores != second.scores).any()


def test_words_shape_the_embeddings(segmenter: Segmenter) -> None:
    encoded, words = segmenter.encode(SCENES[0].image), list(SCENES[0].names)
    some, others = (encoded.embed(segmenter.texts.encode(part)) for part in (words[:5], words[5:]))
    assert some.shape == others.shape
    assert (some - others).abs().max() > 1e-3


def test_there_are_no_embeddings_without_words(segmenter: Segmenter) -> None:
    with pytest.raises(InputError, match="looks at a first segmentation"):
        _ = segmenter.encode(SCENES[0].image).embeddings
