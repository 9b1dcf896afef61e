"""Known answers are compared as they should be, and every check can fail."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lhtclip import Checkpoint, InputError, load_checkpoint
from lhtclip.cli import main
from lhtclip.verify import run as module
from lhtclip.verify.answers import answers_for
from lhtclip.verify.measures import MEASURES
from lhtclip.verify.run import Verdict, difference, questions, verify

PHOTO = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
NAMES = ("bundled", "openai/clip-vit-base-patch32", "openai/clip-vit-base-patch16", "other/model")


@pytest.fixture(scope="session")
def bundled() -> Checkpoint:
    return load_checkpoint("bundled")


def asked(checkpoint: Checkpoint) -> list[Verdict]:
    return list(verify(checkpoint, photo=lambda: PHOTO))


def test_the_bundled_model_gives_its_answers(bundled: Checkpoint) -> None:
    verdicts = asked(bundled)
    assert [each.passed for each in verdicts] == [True] * 5


def test_damaged_weights_are_found_out(bundled: Checkpoint) -> None:
    damaged = load_checkpoint("bundled")
    block = damaged.model.vision.blocks[3]
    with torch.no_grad():
        block.mlp.expand.weight[:, :8] *= -1  # pyright: ignore[reportAttributeAccessIssue]
    assert [each.answer.measure for each in asked(damaged) if not each.passed]
    with torch.no_grad():
        damaged.model.text.positions[1] = torch.nan
    assert not asked(damaged)[0].passed


@pytest.mark.parametrize("name", ["bundled", "openai/clip-vit-base-patch16", "other/model"])
def test_every_published_answer_can_be_missed(
    bundled: Checkpoint, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers of another model are missed by the bundled one; no check passes by itself."""
    wrong = [
        replace(answer, expected=(np.asarray(answer.expected, dtype=float) + 1).tolist())
        for answer in questions(name)
    ]
    monkeypatch.setattr(module, "questions", lambda name: tuple(wrong))
    assert not any(each.passed for each in asked(bundled))


def test_answers_name_their_source_and_a_measure() -> None:
    for name in NAMES:
        for answer in answers_for(name):
            assert answer.measure in MEASURES
            assert answer.source
            assert 0 <= answer.tolerance < 0.1


def test_the_photo_is_asked_for_once_and_its_absence_is_no_miss(bundled: Checkpoint) -> None:
    calls: list[int] = []

    def photo() -> Any:
        calls.append(1)
        raise InputError("no network; pass --image FILE")

    other = replace(bundled, name="other/model")
    unmeasured = [each for each in verify(other, photo=photo) if each.passed is None]
    assert len(calls) == len(unmeasured) == 1
    assert "--image" in unmeasured[0].reason


@pytest.mark.parametrize(
    ("measured", "expected", "result"),
    [([1.0, 2.5], [1, 2], 0.5), ([1.0], [1, 2], np.inf), (float("nan"), 1.0, np.inf), (3, 3, 0.0)],
)
def test_differences(measured: Any, expected: Any, result: float) -> None:
    assert difference(measured, expected) == result


def test_measures_agree_with_transformers(tmp_path: Path, save_clip: Callable[..., Any]) -> None:
    model = save_clip(tmp_path)
    checkpoint = load_checkpoint(tmp_path)
    end = model.config.text_config.eos_token_id
    ids, levels = [[end - 1, 5, 9, end], [end - 1, 7, 3, end]], [0.25, 0.75]
    side = model.config.vision_config.image_size
    pixels = torch.stack([torch.full((3, side, side), level) for level in levels])
    with torch.inference_mode():
        expected = model(input_ids=torch.tensor(ids), pixel_values=pixels)
        logits = MEASURES["logits_of_constants"](checkpoint, None, token_ids=ids, levels=levels)
        hidden = MEASURES["image_hidden"](checkpoint, None, level=0.25)
        pooled = MEASURES["image_pooled"](checkpoint, None, level=0.25)
    vision = expected.vision_model_output
    np.testing.assert_allclose(logits, expected.logits_per_text, atol=1e-3)
    np.testing.assert_allclose(hidden, vision.last_hidden_state[0, 1:4, 1:4], atol=1e-4)
    with torch.inference_mode():
        normed = model.vision_model.post_layernorm(vision.last_hidden_state[0, 0])
    np.testing.assert_allclose(pooled, normed[1:4], atol=1e-4)


def test_the_command_prints_sources_and_exits_by_the_result(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["verify", "bundled"]) == 0
    assert "sunflower" in capsys.readouterr().out
    real = module.questions
    monkeypatch.setattr(
        module, "questions", lambda name: (*real(name)[:-1], replace(real(name)[-1], expected=0))
    )
    assert main(["verify", "bundled", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert [each["passed"] for each in document][-1] is False
