"""What the files of a checkpoint's folder are called: the layout of `transformers`."""

from __future__ import annotations

CONFIG_FILE = "config.json"
TOKENIZER_FILE = "tokenizer.json"
PIXEL_FILE = "preprocessor_config.json"  # optional
WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")  # the first that is there is read
