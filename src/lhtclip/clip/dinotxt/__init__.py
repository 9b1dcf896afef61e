"""dino.txt on DINOv3 (arXiv 2412.16334, 2508.10104): how its two files are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lhtclip.clip.config import PixelConfig
from lhtclip.clip.dinotxt.config import DinoTxtConfig
from lhtclip.clip.dinotxt.vision import DinoVisionTower
from lhtclip.clip.family import Family, TensorNames
from lhtclip.clip.model import read_tokenizer
from lhtclip.clip.text import TextTower
from lhtclip.clip.towers import ImageTextModel

_HEAD = "visual_model.head."
_PROJECTION = "text_model.head.linear_projection.weight"


class DinoTxt(ImageTextModel):
    """A dino.txt: image tower, a CLIP's text tower, and the learned temperature."""

    def __init__(self, config: DinoTxtConfig) -> None:
        super().__init__()
        self.config = config
        self.vision = DinoVisionTower(config.vision)
        self.text = TextTower(config.text, config.projection_dim)
        self.logit_scale = nn.Parameter(torch.tensor([2.6592]))


def build_dino_txt(content: Mapping[str, Any]) -> DinoTxt:
    """Make the model that a `config.json` describes.

    Raises:
        CheckpointError: A setting is of another type or out of range.
    """
    return DinoTxt(DinoTxtConfig.from_json(content))


def prepare(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Bring the tensors of both files into one tower, by names that continue DINOv3's.

    The head's blocks follow DINOv3's, whose final norm closes the last of them; biases that are
    masked, or not there, become zeros; of the texts' projection only the second half stays, which
    belongs to the patches.
    """
    depth = 1 + max((_number(name) for name in tensors if name.startswith("blocks.")), default=-1)
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name.startswith(f"{_HEAD}blocks."):
            _, _, number, rest = name.removeprefix(_HEAD[: -len("head.")]).split(".", 3)
            found[f"blocks.{depth + int(number)}.{rest}"] = tensor
        elif name.startswith("norm."):
            found[f"blocks.{depth - 1}.{name}"] = tensor
        elif not name.endswith(".bias_mask"):
            found[name] = tensor
    for name in [name for name in found if name.endswith(".qkv.weight")]:
        bias, mask = name.replace("weight", "bias"), name.replace("weight", "bias_mask")
        if bias not in found:
            found[bias] = torch.zeros(len(found[name]), dtype=found[name].dtype)
        elif mask in tensors:
            found[bias] = torch.where(tensors[mask] == 1, found[bias], 0)
    if _PROJECTION in found:
        found[_PROJECTION] = found[_PROJECTION].chunk(2)[1].contiguous()
    return found


def _number(name: str) -> int:
    number = name.split(".")[1]
    return int(number) if number.isdecimal() else -1


_BACKBONE = "text_model.backbone"
DINO_TENSORS = TensorNames(
    top={
        "logit_scale": "logit_scale",
        "vision.class_embedding": "cls_token",
        "vision.registers": "storage_tokens",
        "vision.patch_embedding.weight": "patch_embed.proj.weight",
        "vision.patch_embedding.bias": "patch_embed.proj.bias",
        "vision.final_norm.weight": f"{_HEAD}ln_final.weight",
        "vision.final_norm.bias": f"{_HEAD}ln_final.bias",
        "text.token_embedding.weight": f"{_BACKBONE}.token_embedding.weight",
        "text.positions": f"{_BACKBONE}.positional_embedding",
        "text.final_norm.weight": f"{_BACKBONE}.ln_final.weight",
        "text.final_norm.bias": f"{_BACKBONE}.ln_final.bias",
        "text.projection.weight": _PROJECTION,
    },
    towers={"vision": "blocks.", "text": f"{_BACKBONE}.blocks."},
    block={
        "vision.norm1": ("norm1.{}",),
        "vision.attention": ("ls1.gamma",),
        "vision.attention.in_projection": ("attn.qkv.{}",),
        "vision.attention.out_projection": ("attn.proj.{}",),
        "vision.norm2": ("norm2.{}",),
        "vision.mlp": ("ls2.gamma",),
        "vision.mlp.expand": ("mlp.fc1.{}",),
        "vision.mlp.contract": ("mlp.fc2.{}",),
        "vision.mlp.gate_and_expand": ("mlp.w1.{}", "mlp.w2.{}"),
        "vision.mlp.contract_gated": ("mlp.w3.{}",),
        "vision.closing": ("norm.{}",),
        "text.norm1": ("attention_norm.{}",),
        "text.attention.in_projection": ("attention.qkv.{}",),
        "text.attention.out_projection": ("attention.proj.{}",),
        "text.norm2": ("ffn_norm.{}",),
        "text.mlp.expand": ("feed_forward.fc1.{}",),
        "text.mlp.contract": ("feed_forward.fc2.{}",),
    },
    ignored=frozenset({"mask_token", "rope_embed.periods"}),
)

DINO_TXT = Family(
    build_dino_txt,
    read_tokenizer,
    PixelConfig((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    DINO_TENSORS,
    prepare=prepare,
)
