"""Checkpoints as others leave them: read, or refused with the reason, and never at any price."""

from __future__ import annotations

import json
import logging
import os
import shutil
import struct
import zipfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lhtclip.checkpoints.checkpoint import load_checkpoint
from lhtclip.checkpoints.hub import BUNDLED_FOLDER, canonical_name
from lhtclip.checkpoints.openai_archive import openai_config
from lhtclip.clip.tokenizer import Tokenizer
from lhtclip.errors import (
    CheckpointError,
    CheckpointNotFoundError,
    LhtClipError,
    UnknownNameError,
)
from lhtclip.techniques.presets import Preset

WEIGHTS = "model.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the bundled model to change."""
    return Path(shutil.copytree(BUNDLED_FOLDER, tmp_path / "model"))


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    return load_file(BUNDLED_FOLDER / WEIGHTS)


@pytest.fixture(scope="module")
def expected() -> dict[str, Tensor]:
    return load_checkpoint(BUNDLED_FOLDER).model.state_dict()


def in_parts(folder: Path, tensors: dict[str, Tensor], *, stem: str = "model") -> None:
    for part in (1, 2):
        own = {name: t for i, (name, t) in enumerate(tensors.items()) if i % 2 == part - 1}
        save_file(own, folder / f"{stem}-0000{part}-of-00002.safetensors")
    (folder / f"{stem}.safetensors.index.json").write_text("{}")


def pickled(content: Callable[[dict[str, Tensor]], Any]) -> Callable[[Path, Any], None]:
    return lambda folder, tensors: torch.save(content(tensors), folder / "pytorch_model.bin")


def prefixed(prefix: str) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda tensors: {prefix + name: tensor for name, tensor in tensors.items()}


LEFT_BY_TRAINING: dict[str, Callable[[Path, dict[str, Tensor]], None]] = {
    "state_dict": pickled(lambda t: {"epoch": 3, "state_dict": t, "optimizer": {"step": 7}}),
    "model": pickled(lambda t: {"model": t, "best": 0.5}),
    "nested": pickled(lambda t: {"model": {"state_dict": t}}),
    "module.": pickled(prefixed("module.")),
    "averaged": pickled(lambda t: prefixed("module.")(t) | {"n_averaged": torch.tensor(9)}),
    "_orig_mod.module.": pickled(prefixed("_orig_mod.module.")),
    "student.backbone.": pickled(lambda t: {"state_dict": prefixed("student.backbone.")(t)}),
    "base_model.model.": pickled(prefixed("base_model.model.")),
    "safetensors, model.": lambda f, t: save_file(prefixed("model.")(t), f / WEIGHTS),
    "wrappers inside": pickled(
        lambda t: {
            f"_fsdp_wrapped_module.{n.replace('encoder.', 'encoder._orig_mod.', 1)}": each
            for n, each in t.items()
        }
    ),
    "logit_scale (1,)": lambda f, t: save_file(
        t | {"logit_scale": t["logit_scale"].reshape(1)}, f / WEIGHTS
    ),
    "parts": in_parts,
    "fp16 parts": lambda f, t: in_parts(f, t, stem="model.fp16"),
    "fp16": lambda f, t: save_file(t, f / "model.fp16.safetensors"),
    "bf16 pickle": lambda f, t: torch.save(t, f / "pytorch_model.bf16.bin"),
}


@pytest.mark.parametrize("how", LEFT_BY_TRAINING)
def test_weights_as_training_leaves_them(
    how: str, folder: Path, tensors: dict[str, Tensor], expected: dict[str, Tensor]
) -> None:
    (folder / WEIGHTS).unlink()
    LEFT_BY_TRAINING[how](folder, tensors)
    for name, tensor in load_checkpoint(folder).model.state_dict().items():
        assert torch.equal(tensor, expected[name])


def test_whole_weights_come_before_less_precise_ones(
    folder: Path, tensors: dict[str, Tensor], expected: dict[str, Tensor]
) -> None:
    save_file(
        {n: torch.zeros_like(t) for n, t in tensors.items()}, folder / "model.fp16.safetensors"
    )
    assert torch.equal(
        load_checkpoint(folder).model.state_dict()["text.positions"], expected["text.positions"]
    )


def test_missing_parts_are_named(folder: Path, tensors: dict[str, Tensor]) -> None:
    (folder / WEIGHTS).unlink()
    in_parts(folder, tensors)
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(CheckpointNotFoundError, match="2 parts, of which 2 are missing"):
        load_checkpoint(folder)


@pytest.mark.parametrize("dtype", [torch.int8, torch.bool, torch.float8_e4m3fn])
def test_quantised_weights_are_refused(
    folder: Path, tensors: dict[str, Tensor], dtype: torch.dtype
) -> None:
    name = "visual_projection.weight"
    save_file(tensors | {name: tensors[name].to(dtype)}, folder / WEIGHTS)
    with pytest.raises(CheckpointError, match=rf"{name} is of {dtype}.*original weights"):
        load_checkpoint(folder)


@pytest.mark.parametrize("kind", [str, Path])
@pytest.mark.parametrize("file", [WEIGHTS, "config.json"])
def test_a_file_of_a_checkpoint_leads_to_its_folder(folder: Path, file: str, kind: Any) -> None:
    with pytest.raises(CheckpointError, match=rf"{file} is a file.*Give its folder, {folder}\."):
        load_checkpoint(kind(folder / file))


def test_weights_of_transformers_in_an_archive(folder: Path, tensors: dict[str, Tensor]) -> None:
    torch.save(tensors, folder / "mine.pt")
    with pytest.raises(CheckpointError, match=r"rename it pytorch_model\.bin"):
        load_checkpoint(folder / "mine.pt")
    (folder / WEIGHTS).unlink()
    (folder / "mine.pt").rename(folder / "pytorch_model.bin")  # the remedy
    load_checkpoint(folder)


@pytest.mark.parametrize("name", ["my.safetensors", "checkpoint.ckpt"])
def test_weights_of_another_name_are_called_right(
    folder: Path, tensors: dict[str, Tensor], name: str
) -> None:
    (folder / WEIGHTS).rename(folder / name)
    if name.endswith(".ckpt"):
        torch.save(tensors, folder / name)
    with pytest.raises(CheckpointNotFoundError, match=f"If {name} has the weights") as caught:
        load_checkpoint(folder)
    right = str(caught.value).rpartition("rename it ")[2].rstrip(".")
    (folder / name).rename(folder / right)
    load_checkpoint(folder)


def test_links_to_nowhere_are_called_so(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).symlink_to("../blobs/0")
    with pytest.raises(CheckpointNotFoundError, match=rf"{WEIGHTS} are links.*cp -rL"):
        load_checkpoint(folder)


def test_weights_that_are_not_finite_are_refused(folder: Path, tensors: dict[str, Tensor]) -> None:
    name = "vision_model.encoder.layers.3.mlp.fc1.weight"
    save_file(tensors | {name: tensors[name] * float("nan")}, folder / WEIGHTS)
    with pytest.raises(CheckpointError, match=rf"{name} holds values that are not finite"):
        load_checkpoint(folder)


def test_two_sets_of_weights_under_one_name_are_refused(
    folder: Path, tensors: dict[str, Tensor]
) -> None:
    (folder / WEIGHTS).unlink()
    torch.save(tensors | prefixed("_orig_mod.")(tensors), folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"several sets of weights.*save one"):
        load_checkpoint(folder)


@pytest.mark.parametrize("file", ["preprocessor_config.json", "lht.json"])
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no FIFOs")
def test_settings_are_not_read_from_a_fifo(folder: Path, file: str) -> None:
    (folder / file).unlink(missing_ok=True)
    os.mkfifo(folder / file)
    with pytest.raises(LhtClipError, match=rf"{file}.*it is a FIFO"):
        _ = load_checkpoint(folder).preset


def test_a_second_set_of_weights_is_said(
    folder: Path, tensors: dict[str, Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    (folder / WEIGHTS).unlink()
    torch.save({"model": tensors, "model_ema": tensors}, folder / "pytorch_model.bin")
    load_checkpoint(folder)
    assert "'model' is read, and model_ema left out" in caplog.text


@pytest.mark.parametrize("file", [WEIGHTS, "tokenizer.json", "config.json"])
def test_pointers_of_git_lfs_are_called_so(folder: Path, file: str) -> None:
    (folder / file).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(CheckpointError, match=rf"{file}.*git lfs pull"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("file", "remedy"),
    [
        ("adapter_config.json", "merge_and_unload"),
        ("flax_model.msgpack", "from_flax"),
        ("0_CLIPModel/config.json", r"give .*0_CLIPModel"),
    ],
)
def test_folders_of_other_programs_say_what_to_do(tmp_path: Path, file: str, remedy: str) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).touch()
    with pytest.raises(CheckpointNotFoundError, match=remedy):
        load_checkpoint(tmp_path)


HALF, THIRD = [0.5] * 3, [1 / 3] * 3


@pytest.mark.parametrize(
    ("processor", "preprocessor", "mean"),
    [
        ({"image_processor": {"image_mean": HALF}}, None, HALF),
        ({"image_processor": {"image_mean": HALF}}, {"image_mean": THIRD}, HALF),
        ({"processor_class": "CLIPProcessor"}, {"image_mean": THIRD}, THIRD),
        ({"image_mean": HALF}, None, HALF),
        (None, {"image_mean": THIRD}, THIRD),
        (None, {"image_mean": HALF, "do_normalize": False}, [0, 0, 0]),
        (None, {"image_mean": HALF, "rescale_factor": 2 / 255}, [0.25] * 3),
        (None, {"image_mean": [127.5] * 3, "do_rescale": False}, HALF),
    ],
)
def test_pixels_as_transformers_writes_them(
    folder: Path, processor: Any, preprocessor: Any, mean: list[float]
) -> None:
    for name, content in (
        ("processor_config.json", processor),
        ("preprocessor_config.json", preprocessor),
    ):
        (folder / name).unlink(missing_ok=True)
        if content is not None:
            (folder / name).write_text(json.dumps(content))
    assert load_checkpoint(folder).pixels.mean == pytest.approx(mean)


def test_two_files_that_disagree_about_pixels_are_said(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, level in (("processor_config.json", 0.5), ("preprocessor_config.json", 0.4)):
        (folder / name).write_text(json.dumps({"image_mean": [level] * 3}))
    assert load_checkpoint(folder).pixels.mean == (0.5, 0.5, 0.5)
    assert "normalise pixels differently" in caplog.text


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({"image_mean": [127.5] * 3}, "divide them by 255"),
        ({"image_std": [1e-30] * 3}, "another scale"),
        ({"do_normalize": "false"}, "do_normalize should be true or false, not 'false'"),
        ({"do_rescale": 0}, "do_rescale should be true or false, not 0"),
    ],
)
def test_pixels_of_another_scale_are_refused(folder: Path, content: Any, named: str) -> None:
    (folder / "preprocessor_config.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=named):
        load_checkpoint(folder)


@pytest.mark.parametrize("std", [[0, 1, 1], [True] * 3, ["1"] * 3, 0.5])
def test_pixels_that_cannot_be_are_refused(folder: Path, std: Any) -> None:
    content = {"image_processor": {"image_std": std}}
    (folder / "processor_config.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=r"processor_config.json: image_std"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("width", "heads"), [(768, 12), (1024, 16), (1280, 16), (1408, 16), (1664, 16)]
)
def test_heads_of_archives(width: int, heads: int, caplog: pytest.LogCaptureFixture) -> None:
    text = 1024
    with torch.device("meta"):
        tensors = {
            "visual.conv1.weight": torch.zeros(width, 3, 14, 14),
            "visual.positional_embedding": torch.zeros(257, width),
            "positional_embedding": torch.zeros(77, text),
            "token_embedding.weight": torch.zeros(1024, text),
            "text_projection": torch.zeros(text, text),
            "visual.transformer.resblocks.0.mlp.c_fc.weight": torch.zeros(4 * width, width),
            "transformer.resblocks.0.mlp.c_fc.weight": torch.zeros(4 * text, text),
        }
    config = openai_config(tensors, path=Path("epoch_20.pt"))
    assert config.vision.num_attention_heads == heads
    assert config.text.num_attention_heads == 16
    assert config.vision.hidden_act == ("gelu" if width > 1024 else "quick_gelu")
    assert f"{heads} heads" in caplog.text


def clip_vocabulary(folder: Path) -> Any:
    """Write a small vocabulary in CLIP's manner, and return what `transformers` makes of it."""
    from transformers import CLIPTokenizer

    letters = [chr(code) for code in range(33, 127)]
    merges = [("c", "a"), ("ca", "t</w>"), ("d", "o"), ("do", "g</w>"), ("1", "2")]
    tokens = [*letters, *(letter + "</w>" for letter in letters), *("".join(m) for m in merges)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}))
    lines = ["#version: 0.2", *(" ".join(merge) for merge in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")
    return CLIPTokenizer.from_pretrained(folder)


def test_vocabulary_and_merges_without_a_tokenizer_file(tmp_path: Path) -> None:
    theirs = clip_vocabulary(tmp_path)
    ours = Tokenizer(tmp_path / "vocab.json", context_length=77)
    for prompt in ("a cat", "A  Dog's  photo, 12 cats!", "", "it's we'll\nx" * 40):
        assert ours.encode([prompt])[0] == theirs(prompt, truncation=True, max_length=77).input_ids


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("vision_config", "num_hidden_layers", 10**6),
        ("text_config", "num_hidden_layers", 10**9),
        ("vision_config", "hidden_size", 10**12),
        ("vision_config", "image_size", 10**15),
        ("text_config", "vocab_size", 10**18),
        ("text_config", "max_position_embeddings", 2**63),
        ("vision_config", "num_hidden_layers", True),
        ("vision_config", "patch_size", 10**5),
    ],
)
def test_sizes_are_bounded_before_anything_is_built(
    folder: Path, section: str, name: str, value: int
) -> None:
    content = json.loads((folder / "config.json").read_text())
    content[section][name] = value
    (folder / "config.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=name):
        load_checkpoint(folder)


DEEP, BIG = "[" * 100_000, "1" + "0" * 400
BAD = (
    DEEP,
    f'{{"a": {BIG}}}',
    f'{{"projection_dim": {BIG}}}',
    "{",
    '{"a": NaN}',
    '{"a": 1, "a": 2}',
)


@pytest.mark.parametrize("content", BAD, ids=lambda content: content[:20])
@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json", "lht.json"])
def test_json_of_no_good(folder: Path, file: str, content: str) -> None:
    (folder / file).write_text(content)
    with pytest.raises(CheckpointError, match=file):
        load_checkpoint(folder) if file != "lht.json" else Preset.load(folder / file)


@pytest.mark.parametrize(
    "heads",
    ['[["3","2"]]', '["ab"]', "[[2.5,1]]", "[[3,1.5]]", "[[null,1]]", "[[true,1]]", "3", "[3]"],
)
def test_heads_of_presets_are_whole_numbers(folder: Path, heads: str) -> None:
    content = json.loads((folder / "lht.json").read_text())
    content["she"]["heads"] = json.loads(heads)
    (folder / "lht.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=r"lht.json cannot be used.*heads"):
        Preset.load(folder / "lht.json")


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("ssr", {"layers": [2.5]}),
        ("ssr", {"layers": ["1"]}),
        ("ssr", {"layers": [1], "alpha": "half"}),
        ("ssr", []),
        ("atr", {"threshold": None}),
        ("atr", 3),
        ("she", "all"),
        ("made", 7),
        ("source", ["me"]),
        ("ranking", [[1]]),
    ],
)
def test_presets_of_wrong_types(folder: Path, section: str, value: Any) -> None:
    content = json.loads((folder / "lht.json").read_text())
    content[section] = value
    (folder / "lht.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=r"lht.json cannot be used"):
        Preset.load(folder / "lht.json")


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"model": {"type": "BPE", "vocab": {"a": -1}, "merges": []}}, True),
        ({"model": None}, True),
        ({"post_processor": {"type": "TemplateProcessing", "single": [], "pair": []}}, True),
        ({"post_processor": 3}, True),
        ({"added_tokens": [{"id": 1 << 40, "content": "x"}]}, True),
        ({"normalizer": {"type": "Replace", "pattern": {"Regex": "("}, "content": ""}}, True),
        ({"pre_tokenizer": [[[[]]]]}, True),
        ({"truncation": {"max_length": 1, "strategy": "LongestFirst", "stride": 5}}, False),
    ],
)
def test_tokenizers_of_no_good(
    folder: Path, change: dict[str, Any], refused: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CheckpointError) if refused else nullcontext():
        load_checkpoint(folder)
    assert capfd.readouterr().err == ""


def archive_of(path: Path, count: int, *, size: int = 4, stride: int = 1, rows: int = 1) -> None:
    """Write an archive in OpenAI's manner: one tensor of `rows` x `count` floats."""
    key = b"X\x01\x00\x00\x000"
    length = struct.pack("<q", count)
    storage = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\n" + key
    storage += b"X\x03\x00\x00\x00cpu\x8a\x08" + length + b"tQ"
    shape = b"\x8a\x08" + struct.pack("<q", rows) + b"\x8a\x08" + length + b"\x86"
    strides = b"K\x00K" + bytes([stride]) + b"\x86"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x00" + shape + strides
    tensor += b"\x89ccollections\nOrderedDict\n)RtR"
    module = b"\x80\x02c__torch__\nM\n)\x81}(X\x06\x00\x00\x00weight" + tensor + b"ub."
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", module)
        archive.writestr("a/constants.pkl", b"")
        archive.writestr("a/data/0", bytes(count * size))


def test_archives_that_unpack_to_much_more_are_not_unpacked(tmp_path: Path) -> None:
    shutil.copy(BUNDLED_FOLDER / "tokenizer.json", tmp_path)
    archive_of(tmp_path / "x.pt", 1 << 20)
    with pytest.raises(CheckpointError, match=r"unpacks to 4\.2 MB"):
        load_checkpoint(tmp_path / "x.pt")


def test_tensors_that_claim_more_than_the_file_holds(tmp_path: Path) -> None:
    shutil.copy(BUNDLED_FOLDER / "tokenizer.json", tmp_path)
    archive_of(tmp_path / "x.pt", 8, rows=50_000_000)
    with pytest.raises(CheckpointError, match=r"claims the shape \(50000000, 8\)"):
        load_checkpoint(tmp_path / "x.pt")
    torch.save({"text_projection": torch.zeros(1).expand(10**9)}, tmp_path / "y.pt")
    with pytest.raises(CheckpointError, match=r"claims the shape \(1000000000,\)"):
        load_checkpoint(tmp_path / "y.pt")


def test_the_remedy_for_a_training_script_s_checkpoint(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x02cargparse\nNamespace\n)\x81.")
    with pytest.raises(CheckpointError, match="save only its weights"):
        load_checkpoint(folder)


def test_what_was_left_out_of_a_wrapper_can_be_seen(
    folder: Path, tensors: dict[str, Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    (folder / WEIGHTS).unlink()
    torch.save({"model": tensors, "ema": {}}, folder / "pytorch_model.bin")
    with caplog.at_level(logging.INFO, logger="lhtclip"):
        load_checkpoint(folder)
    assert "the weights are 'model'; left out: ['ema']" in caplog.text


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("ViT-B/16", "openai/clip-vit-base-patch16"),
        ("ViT-B/16 ", "openai/clip-vit-base-patch16"),
        ("ViT-B-16/openai", "openai/clip-vit-base-patch16"),
        ("openai/ViT-B-16", "openai/clip-vit-base-patch16"),
        ("ViT-L/14@336px", "openai/clip-vit-large-patch14-336"),
        ("vit-b-32-quickgelu", "openai/clip-vit-base-patch32"),
        ("clip-vit-large-patch14", "openai/clip-vit-large-patch14"),
        ("hf-hub:laion/CLIP-ViT-B-16", "laion/CLIP-ViT-B-16"),
        ("https://huggingface.co/laion/CLIP-ViT-B-16/tree/main", "laion/CLIP-ViT-B-16"),
        ("huggingface.co/openai/clip-vit-base-patch16/", "openai/clip-vit-base-patch16"),
        ("hf://models/google/siglip-base-patch16-224", "google/siglip-base-patch16-224"),
    ],
)
def test_names_as_people_type_them(typed: str, meant: str) -> None:
    assert canonical_name(typed) == meant


@pytest.mark.parametrize("typed", ["ViT-B-16/laion2b_s34b_b88k", "ViT-B-16:laion2b_s34b_b88k"])
def test_pairs_of_open_clip_lead_to_the_nearest_name(typed: str) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'ViT-B-16-laion2b'"):
        load_checkpoint(typed)


def test_a_part_of_a_name_leads_to_the_name() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'ViT-B-16-siglip'"):
        canonical_name("SigLIP")


@pytest.mark.parametrize("typed", ["RN50", "openai/RN50x64", "rn101-quickgelu"])
def test_a_resnet_is_called_one(typed: str) -> None:
    with pytest.raises(UnknownNameError, match="ResNet"):
        canonical_name(typed)
