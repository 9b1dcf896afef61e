"""Joint windows: the last block of a window sees the patches of all windows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from lhtclip import Segmenter, SegmenterConfig, WindowSettings
from lhtclip.clip.layers import Attention
from lhtclip.datasets.scene_files import bundled_scenes
from lhtclip.encoder import DenseEncoder
from lhtclip.errors import InputError
from lhtclip.image.pixels import read_image
from lhtclip.methods import METHODS
from lhtclip.segmenter.joint import JointAttention, together
from tests.encoders import ALL, MODEL
from tests.literal import AttentionWeights, softmax
from tests.methods import towers
from tests.models import tiny_pixels

SCENE = bundled_scenes()[0]
IMAGE = read_image(SCENE.image)
CLASSES = list(SCENE.names)
WINDOWS = WindowSettings(short_side=64, window=48, stride=16)
JOINT = replace(WINDOWS, joint=True)
JOINABLE = [name for name, method in METHODS.items() if method.joinable]


@pytest.fixture(autouse=True, scope="module")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LHTCLIP_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def plain() -> Segmenter:
    config = SegmenterConfig("bundled", dtype="float32", windows=WINDOWS, templates="plain")
    return Segmenter.from_config(config)


# Attention


@pytest.mark.parametrize("class_tokens", [1, 0])
@pytest.mark.parametrize("biased", [True, False])
def test_mix_is_its_formula(biased: bool, class_tokens: int) -> None:
    tower = towers.tower((2, 3), class_tokens=class_tokens, batch=3)
    block, x = tower.blocks[-1], tower.streams[4]
    assert isinstance(block.attention, Attention)
    tokens = class_tokens + 6
    bias = torch.randn(tokens, tokens, dtype=torch.float64) if biased else None
    joint = JointAttention(block.attention, class_tokens)
    parts = (joint.queries(x), joint.keys(x), joint.values(x))
    expected = slowly(
        x, AttentionWeights.of(block.state_dict(), "attention.", 3), bias, class_tokens
    )
    torch.testing.assert_close(joint.mix(*parts, bias=bias), expected, rtol=0, atol=1e-12)
    alone = [each[:1] for each in parts]
    own = block.attention.mix(*alone, bias=bias)
    torch.testing.assert_close(joint.mix(*alone, bias=bias), own, rtol=0, atol=1e-12)


def slowly(x: Tensor, weights: AttentionWeights, bias: Tensor | None, prefix: int) -> Tensor:
    """Token by token: its own window with the bias, and the patches of the others without."""
    found = np.zeros((len(x), weights.heads, x.shape[1], weights.width))
    for head in range(weights.heads):
        projected = [weights.project(window.numpy(), head) for window in x]
        for w, (queries, keys, values) in enumerate(projected):
            others = [each for v, each in enumerate(projected) if v != w]
            seen = np.concatenate([keys, *(each[1][prefix:] for each in others)])
            taken = np.concatenate([values, *(each[2][prefix:] for each in others)])
            for i, query in enumerate(queries):
                scores = np.array([query @ key for key in seen]) / weights.width**0.5
                if bias is not None:
                    scores[: len(keys)] += bias[i].numpy()
                found[w, head, i] = softmax(scores) @ taken
    return torch.from_numpy(found)


# Encoders


@pytest.mark.parametrize("method", JOINABLE)
def test_a_single_window_is_as_without(method: str) -> None:
    encoder = DenseEncoder(MODEL, method=method, lht=ALL)
    given = together(encoder, [tiny_pixels(1)])
    torch.testing.assert_close(given, encoder(tiny_pixels(1)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("method", JOINABLE)
def test_parts_do_not_matter_but_other_windows_do(method: str) -> None:
    encoder, pixels = DenseEncoder(MODEL, method=method, lht=ALL), tiny_pixels(3)
    given = together(encoder, [pixels])
    torch.testing.assert_close(given, together(encoder, pixels.split(2)), rtol=0, atol=1e-5)
    assert (given - encoder(pixels)).abs().max() > 0.01
    turned = together(encoder, [pixels.flip(0)]).flip(0)
    torch.testing.assert_close(turned, given, rtol=0, atol=1e-5)


# Images


def test_overlapping_windows_agree_more(plain: Segmenter) -> None:
    """The last two columns of a window and the first two of the next one are one place."""

    def disagreement(segmenter: Segmenter) -> float:
        embeddings = segmenter.encode(IMAGE).embeddings  # of 3 x 3 patches, one patch apart
        return float((embeddings[:, :-1, :, 1:] - embeddings[:, 1:, :, :-1]).norm(dim=-1).mean())

    joint = plain.replace(windows=JOINT)
    assert disagreement(joint) < 0.9 * disagreement(plain)


def test_a_mirrored_image_gets_mirrored_labels(plain: Segmenter) -> None:
    image = np.ascontiguousarray(IMAGE[:256:4, :320:4])
    both = plain.replace(windows=replace(JOINT, flip=True))
    given, other = (both.segment(each, CLASSES) for each in (image, image[:, ::-1].copy()))
    np.testing.assert_allclose(other.scores[:, ::-1], given.scores, rtol=0, atol=1e-5)


def test_images_do_not_see_each_other(plain: Segmenter) -> None:
    joint = plain.replace(windows=JOINT)
    other = np.ascontiguousarray(IMAGE[::-1])
    alone = joint.encode(IMAGE).embeddings
    together_with = next(joint.encode_many([IMAGE, other])).embeddings
    assert torch.equal(alone, together_with)


# Refusals


@pytest.mark.parametrize("method", ["pearl", "resclip-sfr", "maskclip", "scclip"])
def test_methods_of_single_windows_are_refused(plain: Segmenter, method: str) -> None:
    with pytest.raises(InputError, match=rf"'{method}' looks at one window at a time.*sclip"):
        plain.replace(method=method, windows=JOINT)


def test_engines_of_single_windows_are_refused(plain: Segmenter) -> None:
    with pytest.raises(InputError, match="need the engine 'torch': with 'compile'"):
        plain.replace(engine="compile", windows=JOINT)


def test_too_many_windows_are_refused_with_the_figure(
    plain: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LHTCLIP_MEMORY_GB", "0.02")
    plain.encode(IMAGE)
    fine = plain.replace(windows=replace(JOINT, stride=2))
    with pytest.raises(InputError, match=r"windows.*would take 0\.\d GB.*--no-joint-windows"):
        fine.encode(IMAGE)
