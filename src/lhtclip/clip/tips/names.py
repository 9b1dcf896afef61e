"""What files call the tensors of a TIPSv2: those on the hub and those of `transformers`."""

from __future__ import annotations

from dataclasses import replace

from lhtclip.clip.family import TensorNames

# As its authors published them; `transformers` reads these names as well.
PUBLISHED = TensorNames(
    top={
        "vision.class_embedding": "vision_encoder.cls_token",
        "vision.registers": "vision_encoder.register_tokens",
        "vision.positions": "vision_encoder.pos_embed",
        "vision.patch_embedding.weight": "vision_encoder.patch_embed.proj.weight",
        "vision.patch_embedding.bias": "vision_encoder.patch_embed.proj.bias",
        "vision.final_norm.weight": "vision_encoder.norm.weight",
        "vision.final_norm.bias": "vision_encoder.norm.bias",
        "text.token_embedding.weight": "text_encoder.token_embedding.weight",
        "text.final_norm.weight": "text_encoder.ln_final.weight",
        "text.final_norm.bias": "text_encoder.ln_final.bias",
    },
    towers={"vision": "vision_encoder.blocks.", "text": "text_encoder.transformer.resblocks."},
    block={
        "vision.norm1": ("norm1.{}",),
        "vision.attention.in_projection": ("attn.qkv.{}",),
        "vision.attention.out_projection": ("attn.proj.{}",),
        "vision.attention": ("ls1.gamma",),
        "vision.norm2": ("norm2.{}",),
        "vision.mlp.expand": ("mlp.fc1.{}",),
        "vision.mlp.contract": ("mlp.fc2.{}",),
        "vision.mlp.gate_and_expand": ("mlp.w12.{}",),
        "vision.mlp.contract_gated": ("mlp.w3.{}",),
        "vision.mlp": ("ls2.gamma",),
        "text.norm1": ("ln_1.{}",),
        "text.attention.in_projection": ("attn.in_proj_{}",),
        "text.attention.out_projection": ("attn.out_proj.{}",),
        "text.norm2": ("ln_2.{}",),
        "text.mlp.expand": ("mlp.c_fc.{}",),
        "text.mlp.contract": ("mlp.c_proj.{}",),
    },
    # Of training, and a temperature that no published file has: the configuration says it.
    ignored=frozenset({"vision_encoder.mask_token", "temperature"}),
)
# As `save_pretrained` writes them.
SAVED = replace(
    PUBLISHED,
    block={
        **PUBLISHED.block,
        "vision.mlp.expand": ("mlp.c_fc.{}",),
        "vision.mlp.contract": ("mlp.c_proj.{}",),
    },
)
_PATCHES = "vision_model.embeddings.patch_embeddings.projection"
# As they are in the memory of `transformers`.
TRANSFORMERS_TIPS = TensorNames(
    top={
        "vision.class_embedding": "vision_model.embeddings.cls_token",
        "vision.registers": "vision_model.embeddings.register_tokens",
        "vision.positions": "vision_model.embeddings.position_embeddings",
        "vision.patch_embedding.weight": f"{_PATCHES}.weight",
        "vision.patch_embedding.bias": f"{_PATCHES}.bias",
        "vision.final_norm.weight": "vision_model.layernorm.weight",
        "vision.final_norm.bias": "vision_model.layernorm.bias",
        "text.token_embedding.weight": "text_model.embeddings.token_embedding.weight",
        "text.final_norm.weight": "text_model.final_layer_norm.weight",
        "text.final_norm.bias": "text_model.final_layer_norm.bias",
    },
    towers={"vision": "vision_model.encoder.layer.", "text": "text_model.encoder.layers."},
    block={
        "vision.norm1": ("norm1.{}",),
        "vision.attention.in_projection": tuple(f"attention.{part}_proj.{{}}" for part in "qkv"),
        "vision.attention.out_projection": ("attention.o_proj.{}",),
        "vision.attention": ("layer_scale1.lambda1",),
        "vision.norm2": ("norm2.{}",),
        "vision.mlp.expand": ("mlp.fc1.{}",),
        "vision.mlp.contract": ("mlp.fc2.{}",),
        "vision.mlp.gate_and_expand": ("mlp.gate_proj.{}", "mlp.up_proj.{}"),
        "vision.mlp.contract_gated": ("mlp.down_proj.{}",),
        "vision.mlp": ("layer_scale2.lambda1",),
        "text.norm1": ("layer_norm1.{}",),
        "text.attention.in_projection": tuple(f"self_attn.{part}_proj.{{}}" for part in "qkv"),
        "text.attention.out_projection": ("self_attn.out_proj.{}",),
        "text.norm2": ("layer_norm2.{}",),
        "text.mlp.expand": ("mlp.fc1.{}",),
        "text.mlp.contract": ("mlp.fc2.{}",),
    },
    ignored=frozenset({"vision_model.embeddings.mask_token", "temperature"}),
)
