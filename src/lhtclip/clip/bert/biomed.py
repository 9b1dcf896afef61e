"""BiomedCLIP (arXiv 2303.00915): a plain vision transformer and a BERT of biomedical papers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lhtclip.clip.bert.text import BERT_BLOCK, BertConfig, BertTextTower, names_in
from lhtclip.clip.bert.tokenizer import BertTokenizer, read_bert_tokenizer
from lhtclip.clip.config import PixelConfig, VisionConfig
from lhtclip.clip.family import Family, TensorNames
from lhtclip.clip.open_clip_keys import FILE, section_of
from lhtclip.clip.timm_vision import TRUNK, TRUNK_BLOCKS, TimmVisionTower
from lhtclip.clip.towers import ImageTextModel, plain_block
from lhtclip.errors import CheckpointError

# By their names in timm and on the hub, which the configuration has in place of shapes.
TOWERS: dict[str, VisionConfig] = {
    "vit_base_patch16_224": VisionConfig(patch_size=16, hidden_act="gelu", layer_norm_eps=1e-6)
}
BERTS: dict[str, BertConfig] = {
    "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract": BertConfig(),
    "microsoft/BiomedNLP-PubMedBERT-base-uncased-abstract": BertConfig(),  # its earlier name
}
# The other keys that decide on the network, each with the only value that can be read. OpenCLIP has
# renamed two of them.
_WANTED: dict[str, dict[tuple[str, ...], Any]] = {
    "vision_cfg": {("timm_pool",): "", ("timm_proj",): "linear", ("image_size",): 224},
    "text_cfg": {
        ("hf_proj_type", "proj"): "mlp",
        ("hf_pooler_type", "pooler_type"): "cls_last_hidden_state_pooler",
    },
}


@dataclass(frozen=True, slots=True)
class BiomedConfig:
    """Both towers, the width of the space they share, and the most tokens of a prompt."""

    vision: VisionConfig
    text: BertConfig
    projection_dim: int
    context_length: int

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> BiomedConfig:
        """Read the content of an `open_clip_config.json`.

        Raises:
            CheckpointError: The file does not describe a BiomedCLIP; names the key.
        """
        model = section_of(content, "model_cfg")
        vision, text = section_of(model, "vision_cfg"), section_of(model, "text_cfg")
        for section, values in (("vision_cfg", vision), ("text_cfg", text)):
            for names, wanted in _WANTED[section].items():
                found = next((values[name] for name in names if name in values), None)
                if found != wanted:
                    raise _not_implemented(f"{section}.{names[0]}", found, [repr(wanted)])
        tower, bert = vision.get("timm_model_name"), text.get("hf_model_name")
        if tower not in TOWERS:
            raise _not_implemented("vision_cfg.timm_model_name", tower, TOWERS)
        if bert not in BERTS:
            raise _not_implemented("text_cfg.hf_model_name", bert, BERTS)
        dim, length = model.get("embed_dim"), text.get("context_length")
        longest = BERTS[bert].max_position_embeddings
        if not (type(dim) is int and 0 < dim <= 1 << 22):
            raise _not_implemented("model_cfg.embed_dim", dim, ["a positive whole number"])
        if not (type(length) is int and 2 < length <= longest):
            raise _not_implemented("text_cfg.context_length", length, [f"3 to {longest}"])
        return cls(TOWERS[tower], BERTS[bert], dim, length)

    def to_json(self) -> dict[str, Any]:
        """Return the content of an equivalent `open_clip_config.json`."""
        tower = next(name for name, shape in TOWERS.items() if shape == self.vision)
        bert = next(name for name, shape in BERTS.items() if shape == self.text)
        wanted = {
            section: {names[0]: value for names, value in keys.items()}
            for section, keys in _WANTED.items()
        }
        text = {"hf_model_name": bert, "context_length": self.context_length}
        return {
            "model_cfg": {
                "embed_dim": self.projection_dim,
                "vision_cfg": wanted["vision_cfg"] | {"timm_model_name": tower},
                "text_cfg": wanted["text_cfg"] | text,
            }
        }


class BiomedClip(ImageTextModel):
    """A BiomedCLIP: image tower, text tower and the learned temperature."""

    def __init__(self, config: BiomedConfig) -> None:
        super().__init__()
        vision, text, dim = config.vision, config.text, config.projection_dim
        self.config = config
        blocks = (plain_block(vision) for _ in range(vision.num_hidden_layers))
        self.vision = TimmVisionTower(vision, blocks, dim, bias=False)
        between = (text.hidden_size + dim) // 2
        projection = nn.Sequential(
            nn.Linear(text.hidden_size, between, bias=False),
            nn.GELU(),
            nn.Linear(between, dim, bias=False),
        )
        self.text = BertTextTower(text, projection)
        self.logit_scale = nn.Parameter(torch.tensor(2.6592))  # ln(1 / 0.07)


def build_biomed(content: Mapping[str, Any]) -> BiomedClip:
    """Make the model that an `open_clip_config.json` describes.

    Raises:
        CheckpointError: The file does not describe a BiomedCLIP.
    """
    return BiomedClip(BiomedConfig.from_json(content))


def read_tokenizer(path: Path, config: BiomedConfig, config_file: str) -> BertTokenizer:
    """Read the tokenizer.

    Raises:
        CheckpointError: It cannot be read, or has more tokens than the model.
    """
    return read_bert_tokenizer(path, config.text, config_file, context_length=config.context_length)


def _not_implemented(key: str, value: Any, known: Any) -> CheckpointError:
    return CheckpointError(
        f"{FILE}: {key} is {value!r}, which is not implemented; known: {', '.join(known)}."
    )


BIOMED_TENSORS = TensorNames(
    top={
        "logit_scale": "logit_scale",
        **TRUNK,
        "vision.projection.weight": "visual.head.proj.weight",
        **names_in("text.transformer"),
        "text.projection.0.weight": "text.proj.0.weight",
        "text.projection.2.weight": "text.proj.2.weight",
    },
    towers={"vision": TRUNK_BLOCKS, "text": "text.transformer.encoder.layer."},
    block={
        "norm1": ("norm1.{}",),
        "attention.in_projection": ("attn.qkv.{}",),
        "attention.out_projection": ("attn.proj.{}",),
        "norm2": ("norm2.{}",),
        "mlp.expand": ("mlp.fc1.{}",),
        "mlp.contract": ("mlp.fc2.{}",),
        **BERT_BLOCK,
    },
    ignored=frozenset({"text.transformer.embeddings.position_ids"}),  # 0, 1, 2, ...
)

BIOMED = Family(build_biomed, read_tokenizer, PixelConfig(), BIOMED_TENSORS)
