"""The shapes that CLIPs were published in, against `transformers`.

Parity is tested on two blocks of the real widths, which hold everything that a deeper tower has;
how deep a tower is, and so what a whole checkpoint consists of, is compared without weights.
"""

from __future__ import annotations

import json
import shutil
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPConfig, CLIPModel

from lhtclip.checkpoints.checkpoint import Checkpoint, load_checkpoint
from lhtclip.checkpoints.state_dict import scatter
from lhtclip.clip.config import ClipConfig
from lhtclip.clip.family import TensorNames
from lhtclip.clip.model import TRANSFORMERS_CLIP, Clip
from lhtclip.clip.open_clip import OPEN_CLIP_TENSORS, clip_config
from tests.clip.openai_clip import openai_names
from tests.clip.published import END, SHAPES, random_clip

PROMPTS = ["a photo of a cat", "dog", "the cat of a dog, of 2"]


def compare(ours: Checkpoint, theirs: CLIPModel) -> None:
    """Compare images, all their patches and prompts, projected; values are of the order of 1."""
    tower, side = ours.model.vision, theirs.config.vision_config.image_size
    pixels = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(1))
    x = tower.embed(pixels)
    for block in tower.blocks:
        x = block(x)
    seen = theirs.vision_model(pixels).last_hidden_state
    seen = theirs.visual_projection(theirs.vision_model.post_layernorm(seen))
    grid = side // theirs.config.vision_config.patch_size
    assert seen.shape[1] == 1 + grid**2
    assert_close(tower.project(x), seen)
    assert_close(tower(pixels), seen[:, 0])
    tokens = ours.tokenizer(PROMPTS)
    read = theirs.text_projection(theirs.text_model(tokens).pooler_output)
    assert_close(ours.model.text(tokens), read)


def assert_close(found: Tensor, expected: Tensor) -> None:
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


# The layout of `transformers`; test_parity.py has B/32, B/16 and L/14.


@pytest.mark.parametrize(("name", "activation"), [("L/14@336", "quick_gelu"), ("H/14", "gelu")])
@torch.no_grad()
def test_transformers(
    tmp_path: Path, tokenizers: dict[str, Any], name: str, activation: str
) -> None:
    theirs = random_clip(SHAPES[name], activation=activation)
    tensors = {key: tensor.half() for key, tensor in theirs.state_dict().items()}
    save_file(tensors, tmp_path / "model.safetensors")
    theirs.config.save_pretrained(tmp_path)
    tokenizers["last"].save(str(tmp_path / "tokenizer.json"))
    ours = load_checkpoint(tmp_path)
    assert ours.model.config.vision.hidden_act == ours.model.config.text.hidden_act == activation
    compare(ours, theirs)
    shutil.rmtree(tmp_path)


# OpenCLIP's layout: the configurations as published, but for the depth and the vocabulary.


def open_clip_config(
    vision: dict[str, Any],
    text: dict[str, Any],
    *,
    more: dict[str, Any] | None = None,
    **model: Any,
) -> dict[str, Any]:
    """Write an `open_clip_config.json`; `more` is about preprocessing, besides levels."""
    levels = {
        "mean": [0.48145466, 0.4578275, 0.40821073],
        "std": [0.26862954, 0.26130258, 0.27577711],
    }
    sections = {"vision_cfg": {"image_size": 224} | vision}
    sections["text_cfg"] = {"context_length": 77, "vocab_size": 49408} | text
    return {"model_cfg": model | sections, "preprocess_cfg": levels | (more or {})}


BASE = {"layers": 12, "width": 768, "patch_size": 16}, {"width": 512, "heads": 8, "layers": 12}
LARGE = {"layers": 24, "width": 1024, "patch_size": 14}, {"width": 768, "heads": 12, "layers": 12}
HUGE = (
    {"layers": 32, "width": 1280, "head_width": 80, "patch_size": 14},
    {"width": 1024, "heads": 16, "layers": 24},
)
GIANT = (
    {"layers": 40, "width": 1408, "head_width": 88, "mlp_ratio": 4.3637, "patch_size": 14},
    {"width": 1024, "heads": 16, "layers": 24},
)
GIGANTIC = (
    {"layers": 48, "width": 1664, "head_width": 104, "mlp_ratio": 4.9231, "patch_size": 14},
    {"width": 1280, "heads": 20, "layers": 32},
)
RESIZING = {"interpolation": "bicubic", "resize_mode": "shortest"}
OPEN_CLIP: dict[str, tuple[str, dict[str, Any]]] = {
    "laion/CLIP-ViT-H-14-laion2B-s32B-b79K": ("H/14", open_clip_config(*HUGE, embed_dim=1024)),
    "laion/CLIP-ViT-B-16-DataComp.XL-s13B-b90K": ("B/16", open_clip_config(*BASE, embed_dim=512)),
    "laion/CLIP-ViT-L-14-DataComp.XL-s13B-b90K": ("L/14", open_clip_config(*LARGE, embed_dim=768)),
    "apple/DFN2B-CLIP-ViT-B-16": ("B/16", open_clip_config(*BASE, embed_dim=512)),
    "apple/DFN2B-CLIP-ViT-L-14": ("L/14", open_clip_config(*LARGE, embed_dim=768, quick_gelu=True)),
    "timm/vit_base_patch16_clip_224.metaclip_2pt5b": (
        "B/16",
        open_clip_config(*BASE, embed_dim=512, quick_gelu=True, more=RESIZING),
    ),
    "timm/vit_large_patch14_clip_224.metaclip_2pt5b": (
        "L/14",
        open_clip_config(*LARGE, embed_dim=768, quick_gelu=True, more=RESIZING),
    ),
    "timm/vit_huge_patch14_clip_224.metaclip_2pt5b": (
        "H/14",
        open_clip_config(*HUGE, embed_dim=1024, quick_gelu=True, more=RESIZING),
    ),
    "apple/DFN5B-CLIP-ViT-H-14-378": (
        "H/14@378",
        open_clip_config(
            HUGE[0] | {"image_size": 378},
            HUGE[1],
            embed_dim=1024,
            quick_gelu=True,
            more={"interpolation": "bicubic", "resize_mode": "squash"},
        ),
    ),
    "laion/CLIP-ViT-g-14-laion2B-s34B-b88K": (
        "g/14",
        open_clip_config(*GIANT, embed_dim=1024),
    ),
    "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k": (
        "bigG/14",
        open_clip_config(*GIGANTIC, embed_dim=1280),
    ),
}
SAFE, PICKLED = "open_clip_model.safetensors", "open_clip_pytorch_model.bin"


@pytest.mark.parametrize(
    ("hub_id", "files"),
    [
        ("laion/CLIP-ViT-H-14-laion2B-s32B-b79K", (SAFE, PICKLED)),
        ("laion/CLIP-ViT-B-16-DataComp.XL-s13B-b90K", (PICKLED,)),
        ("apple/DFN2B-CLIP-ViT-L-14", (PICKLED,)),
        ("timm/vit_base_patch16_clip_224.metaclip_2pt5b", (SAFE, PICKLED)),
        ("laion/CLIP-ViT-g-14-laion2B-s34B-b88K", (PICKLED,)),
    ],
)
@torch.no_grad()
def test_open_clip(
    tmp_path: Path, tokenizers: dict[str, Any], hub_id: str, files: tuple[str, ...]
) -> None:
    name, content = OPEN_CLIP[hub_id]
    activation = "quick_gelu" if content["model_cfg"].get("quick_gelu") else "gelu"
    theirs = random_clip(SHAPES[name], activation=activation)
    content = deepcopy(content)
    content["model_cfg"]["vision_cfg"]["layers"] = content["model_cfg"]["text_cfg"]["layers"] = 2
    content["model_cfg"]["text_cfg"]["vocab_size"] = END + 1
    (tmp_path / "open_clip_config.json").write_text(json.dumps(content))
    tokenizers["last"].save(str(tmp_path / "tokenizer.json"))
    tensors = {key: tensor.half() for key, tensor in openai_names(theirs.state_dict()).items()}
    loaded: list[Checkpoint] = []
    for file in files:
        (save_file if file == SAFE else torch.save)(tensors, tmp_path / file)
        loaded.append(load_checkpoint(tmp_path))
        (tmp_path / file).unlink()
    compare(loaded[0], theirs)
    expected = loaded.pop().model.state_dict()
    for other in loaded:
        for key, tensor in other.model.state_dict().items():
            assert torch.equal(tensor, expected[key])


# Whole checkpoints


DEPTHS = {
    "B/32": (12, 12),
    "B/16": (12, 12),
    "L/14": (24, 12),
    "L/14@336": (24, 12),
    "H/14": (32, 24),
    "H/14@378": (32, 24),
    "g/14": (40, 24),
    "bigG/14": (48, 32),
}
PARAMETERS = {
    "B/32": 151_277_313,
    "B/16": 149_620_737,
    "L/14": 427_616_513,
    "L/14@336": 427_944_193,
    "H/14": 986_109_441,
    "H/14@378": 986_714_881,
    "g/14": 1_366_678_273,
    "bigG/14": 2_539_567_105,
}


def whole(name: str) -> dict[str, Any]:
    """Describe a shape with all its blocks and the real vocabulary."""
    content, (vision, text) = deepcopy(SHAPES[name]), DEPTHS[name]
    content["vision_config"]["num_hidden_layers"] = vision
    content["text_config"] |= {"num_hidden_layers": text, "vocab_size": 49408}
    content["text_config"] |= {"bos_token_id": 49406, "eos_token_id": 49407}
    return content


def shapes_of(model: Clip, names: TensorNames) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in scatter(model, names).items()}


@pytest.mark.parametrize("name", SHAPES)
def test_whole_checkpoints_have_these_tensors(name: str) -> None:
    with torch.device("meta"):
        theirs = CLIPModel(CLIPConfig(**whole(name)))
        ours = Clip(ClipConfig.from_json(whole(name)))
    assert sum(parameter.numel() for parameter in ours.parameters()) == PARAMETERS[name]
    tensors = theirs.state_dict()
    assert shapes_of(ours, TRANSFORMERS_CLIP) == {
        key: tuple(tensor.shape) for key, tensor in tensors.items()
    }
    assert shapes_of(ours, OPEN_CLIP_TENSORS) == {
        key: tuple(tensor.shape) for key, tensor in openai_names(tensors).items()
    }


@pytest.mark.parametrize("hub_id", OPEN_CLIP)
def test_published_configurations(hub_id: str) -> None:
    name, content = OPEN_CLIP[hub_id]
    expected = whole(name)
    for tower in ("vision_config", "text_config"):
        quick = content["model_cfg"].get("quick_gelu", False)
        expected[tower]["hidden_act"] = "quick_gelu" if quick else "gelu"
    assert clip_config(content) == ClipConfig.from_json(expected)
