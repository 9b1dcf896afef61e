"""Known answers are compared as they should be, and every check can fail."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lhtclip import Checkpoint, InputError, load_checkpoint
from lhtclip.checkpoints.known_models import KNOWN_MODELS
from lhtclip.cli import main
from lhtclip.files.json_files import parse_json
from lhtclip.verify import run as module
from lhtclip.verify.answers import KnownAnswer, answers_for
from lhtclip.verify.files import changed_files
from lhtclip.verify.measures import MEASURES
from lhtclip.verify.run import Material, Verdict, difference, questions, verify
from tests.clip.bert_models import save_chinese
from tests.datasets.trees import own_folder

PHOTO = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
NAMES = (
    "bundled",
    "openai/clip-vit-base-patch32",
    "openai/clip-vit-base-patch16",
    "google/tipsv2-b14",
    "OFA-Sys/chinese-clip-vit-base-patch16",
    "other/model",
)


@pytest.fixture(scope="session")
def bundled() -> Checkpoint:
    return load_checkpoint("bundled")


def asked(checkpoint: Checkpoint) -> list[Verdict]:
    return list(verify(checkpoint, Material(lambda _: PHOTO)))


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
        for answer in questions(replace(bundled, name=name))
    ]
    monkeypatch.setattr(module, "questions", lambda *_, **__: tuple(wrong))
    assert not any(each.passed for each in asked(bundled))


def test_answers_name_their_source_and_a_measure() -> None:
    for name in NAMES:
        for answer in answers_for(name):
            assert answer.measure in MEASURES or answer.needs == "data"
            assert answer.source
            assert 0 <= answer.tolerance < 0.5


def test_every_known_model_is_asked_something_with_a_source(bundled: Checkpoint) -> None:
    for known in KNOWN_MODELS:
        asked_of = questions(replace(bundled, name=known.address or known.name), data=True)
        assert all(answer.source for answer in asked_of)
        assert any(answer.measure.startswith(("photo", "scene")) for answer in asked_of)


@pytest.mark.skipif(os.name == "nt", reason="the cache of the hub has no links there")
def test_weights_that_differ_from_their_name_in_the_cache(
    bundled: Checkpoint, tmp_path: Path
) -> None:
    snapshot, blobs = tmp_path / "snapshots" / "0", tmp_path / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    whole = bundled.directory / "model.safetensors"
    content = whole.read_bytes()
    blob = blobs / hashlib.sha256(content).hexdigest()
    for path in bundled.directory.iterdir():
        (snapshot / path.name).symlink_to(blob if path.name == whole.name else path)
    blob.write_bytes(content)
    cached = load_checkpoint(snapshot)
    assert questions(cached)[0].measure == "changed_weights"
    assert asked(cached)[0].passed
    blob.write_bytes(content[:-1] + b"\0")
    assert changed_files(snapshot) == ["model.safetensors"]
    assert asked(cached)[0].passed is False


@pytest.mark.skipif(os.name == "nt", reason="the cache of the hub has no links there")
def test_bare_weights_in_the_cache(tmp_path: Path) -> None:
    blob = tmp_path / hashlib.sha256(b"weights").hexdigest()
    blob.write_bytes(b"weights")
    link = tmp_path / "RS5M_ViT-B-32.pt"
    link.symlink_to(blob)
    assert changed_files(link) == []
    blob.write_bytes(b"weightz")
    assert changed_files(link) == [link.name]


def test_archives_are_those_of_their_name(tmp_path: Path) -> None:
    archive = tmp_path / "ViT-B-32.pt"
    archive.write_bytes(b"something else")
    assert changed_files(archive) == ["ViT-B-32.pt"]
    assert changed_files(tmp_path) == []


def test_tokens_begin_and_end(tmp_path: Path, save_clip: Callable[..., Any]) -> None:
    model = save_clip(tmp_path)
    ids = MEASURES["tokens"](load_checkpoint(tmp_path), None, text="a photo of a cat")
    text = model.config.text_config
    assert (ids[0], ids[-1]) == (text.bos_token_id, text.eos_token_id)
    assert len(ids) > 5


def test_a_data_set_is_evaluated_as_by_the_command(
    bundled: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = own_folder(tmp_path / "harbours")
    answer = KnownAnswer(
        "mIoU",
        "data_set_iou",
        {"dataset": "folder", "method": "sclip", "publication": "sclip"},
        50.0,
        0.4,
        "nobody",
    )
    monkeypatch.setattr(module, "questions", lambda *_, **__: (answer,))
    out = tmp_path / "out"
    (verdict,) = verify(bundled, Material(lambda _: PHOTO, root, out))
    command = (
        f"evaluate folder --root {root} --out {tmp_path / 'e'} --model bundled --dtype float32"
    )
    assert (
        main(
            [*command.split(), *["--method", "sclip", "--no-lht", "--protocol", "sclip", "--quiet"]]
        )
        == 0
    )
    document = json.loads((tmp_path / "e" / "harbours.json").read_text())
    assert verdict.measured == pytest.approx(100 * document["mean_iou"])
    assert verdict.passed == (abs(verdict.measured - 50) <= 0.4)
    (missing,) = verify(bundled, Material(lambda _: PHOTO, tmp_path / "nowhere", out))
    assert missing.passed is None
    assert "nowhere" in missing.reason


def test_the_photo_is_asked_for_once_and_its_absence_is_no_miss(bundled: Checkpoint) -> None:
    calls: list[str] = []

    def photo(address: str) -> Any:
        calls.append(address)
        raise InputError("no network; pass --image FILE")

    other = replace(bundled, name="other/model")
    unmeasured = [each for each in verify(other, Material(photo)) if each.passed is None]
    assert (calls, len(unmeasured)) == ([""], 1)
    assert "--image" in unmeasured[0].reason


def test_an_answer_can_be_about_a_photo_of_its_own(bundled: Checkpoint) -> None:
    calls: list[str] = []

    def photo(address: str) -> Any:
        calls.append(address)
        return PHOTO

    chinese = replace(bundled, name="OFA-Sys/chinese-clip-vit-base-patch16")
    (shares,) = [each for each in verify(chinese, Material(photo)) if "four" in each.answer.what]
    assert "https://" in shares.answer.photo
    assert set(calls) == {"", shares.answer.photo}
    assert sum(shares.measured) == pytest.approx(1)


def test_a_chinese_model_is_asked_in_chinese(bundled: Checkpoint, tmp_path: Path) -> None:
    save_chinese(tmp_path)
    for checkpoint, words in ((load_checkpoint(tmp_path), "两只猫"), (bundled, "two cats")):
        asked_last = questions(replace(checkpoint, name="other/model"))[-1]
        assert words in asked_last.given["texts"][0]


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


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (("--image", "missing.jpg"), "missing.jpg"),
        (("--image", "small.png"), "120 x 90 pixels.*000000039769.jpg"),
        (("--root", "missing"), "no folder missing"),
    ],
)
def test_what_is_given_to_the_command_is_looked_at(
    given: tuple[str, ...],
    named: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(PHOTO).save("small.png")
    assert main(["verify", "bundled", *given]) == 2
    assert re.search(named, capsys.readouterr().err)


def test_json_of_answers_without_a_number(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = [Verdict(answers_for("bundled")[0], float("nan"), float("inf"))]
    monkeypatch.setattr(module, "verify", lambda *_: nothing)
    assert main(["verify", "bundled", "--json"]) == 1
    (document,) = parse_json(capsys.readouterr().out)
    assert (document["measured"], document["difference"]) == (None, None)


def test_the_command_prints_sources_and_exits_by_the_result(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["verify", "bundled"]) == 0
    assert "dartboard" in capsys.readouterr().out
    real = module.questions
    monkeypatch.setattr(
        module,
        "questions",
        lambda model, **_: (*real(model)[:-1], replace(real(model)[-1], expected=0)),
    )
    assert main(["verify", "bundled", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert [each["passed"] for each in document][-1] is False
