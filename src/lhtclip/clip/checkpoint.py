"""A local folder in the `transformers` layout becomes a CLIP, and back."""

from __future__ import annotations

import hashlib
import json
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file, save  # pyright: ignore[reportUnknownVariableType]
from torch import Tensor

from lhtclip.clip.config import ClipConfig, PixelConfig, TextConfig
from lhtclip.clip.layout import CONFIG_FILE, PIXEL_FILE, TOKENIZER_FILE, WEIGHT_FILES
from lhtclip.clip.model import Clip
from lhtclip.clip.state_dict import from_transformers, to_transformers
from lhtclip.clip.text import LEGACY_END_TOKEN
from lhtclip.clip.tokenizer import Tokenizer
from lhtclip.errors import CheckpointError, CheckpointNotFoundError
from lhtclip.files import write_atomically


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A loaded checkpoint.

    `fingerprint` is a SHA-256 of all that a prompt's feature depends on: the tokenizer, and the
    text tower's configuration and weights as stored. What is cached of them is filed under it.
    """

    model: Clip
    tokenizer: Tokenizer
    pixels: PixelConfig
    directory: Path
    fingerprint: str


def load_checkpoint(
    directory: Path,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Checkpoint:
    """Load `config.json`, the weights and `tokenizer.json` of a folder.

    Its `preprocessor_config.json`, where there is one, tells how pixels are normalised.

    Raises:
        CheckpointNotFoundError: The folder or one of its files is missing.
        CheckpointError: A file cannot be read, a tensor is missing, left over or misshapen, or the
            files do not belong together.
    """
    config = ClipConfig.from_json(_read_json(_existing(directory, CONFIG_FILE)))
    tokenizer_file = _existing(directory, TOKENIZER_FILE)
    tokenizer = Tokenizer(tokenizer_file, context_length=config.text.max_position_embeddings)
    _check_end_token(tokenizer, config.text)
    pixel_file = directory / PIXEL_FILE
    pixels = PixelConfig.from_json(_read_json(pixel_file) if pixel_file.is_file() else {})
    tensors = _read_weights(_existing(directory, *WEIGHT_FILES))
    with torch.device("meta"):  # no memory and no time for weights that are replaced at once
        model = Clip(config)
    state = from_transformers(model, config, tensors)
    fingerprint = _fingerprint(state, config.text, tokenizer_file.read_bytes())
    state = {name: tensor.to(device=device, dtype=dtype) for name, tensor in state.items()}
    model.load_state_dict(state, assign=True)
    model.eval().requires_grad_(False)
    return Checkpoint(model, tokenizer, pixels, directory, fingerprint)


def save_checkpoint(model: Clip, directory: Path, *, dtype: torch.dtype) -> None:
    """Write `config.json` and `model.safetensors`, whole or not at all."""
    tensors = {
        name: tensor.detach().to("cpu", dtype)
        for name, tensor in to_transformers(model, model.config).items()
    }
    content = {
        "architectures": ["CLIPModel"],
        "model_type": "clip",
        "projection_dim": model.config.projection_dim,
        "vision_config": asdict(model.config.vision)
        | {"model_type": "clip_vision_model", "projection_dim": model.config.projection_dim},
        "text_config": asdict(model.config.text)
        | {"model_type": "clip_text_model", "projection_dim": model.config.projection_dim},
    }
    write_atomically(directory / WEIGHT_FILES[0], save(tensors, metadata={"format": "pt"}))
    write_atomically(directory / CONFIG_FILE, (json.dumps(content, indent=2) + "\n").encode())


def _existing(directory: Path, *candidates: str) -> Path:
    if not directory.is_dir():
        raise CheckpointNotFoundError(f"There is no checkpoint folder {directory}.")
    for name in candidates:
        if (directory / name).is_file():
            return directory / name
    raise CheckpointNotFoundError(
        f"The checkpoint folder {directory} holds no {' or '.join(candidates)}; expected are "
        f"{CONFIG_FILE}, {WEIGHT_FILES[0]} and {TOKENIZER_FILE}."
    )


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} should hold a JSON object; it holds something else.")
    return cast("dict[str, Any]", content)


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    reason = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
    return CheckpointError(f"Cannot read {path}: {reason}. Download or copy it again.")


def _read_weights(path: Path) -> Mapping[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(
            path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
        )
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is not loaded: it is broken, or holds more than tensors and could run code. "
            f"Use a {WEIGHT_FILES[0]} in its place."
        ) from error
    except Exception as error:  # what broken pickles and archives raise has no common root
        raise _unreadable(path, error) from error
    entries = cast("dict[Any, Any]", content) if isinstance(content, dict) else {}
    if not all(isinstance(value, Tensor) for value in entries.values()) or not entries:
        raise CheckpointError(f"{path} should hold tensors by name; it holds something else.")
    return {str(name): tensor for name, tensor in entries.items()}


def _check_end_token(tokenizer: Tokenizer, config: TextConfig) -> None:
    if config.eos_token_id not in (tokenizer.end, LEGACY_END_TOKEN):
        raise CheckpointError(
            f"{TOKENIZER_FILE} ends prompts with token {tokenizer.end}, but {CONFIG_FILE} reads "
            f"them out at eos_token_id {config.eos_token_id}: the files do not belong together."
        )


def _fingerprint(state: Mapping[str, Tensor], config: TextConfig, tokenizer: bytes) -> str:
    digest = hashlib.sha256(json.dumps(asdict(config)).encode())
    digest.update(hashlib.sha256(tokenizer).digest())
    for name in sorted(state):
        if name.startswith("text."):
            tensor = state[name].contiguous()
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
            digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
