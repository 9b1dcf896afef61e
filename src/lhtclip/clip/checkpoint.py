"""A local folder in the layout of `transformers` or OpenCLIP becomes a CLIP, and back."""

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
from lhtclip.clip.layout import (
    LAYOUTS,
    OPEN_CLIP,
    PIXEL_FILE,
    TOKENIZER_FILE,
    TRANSFORMERS,
    Layout,
    layout_of,
)
from lhtclip.clip.model import Clip
from lhtclip.clip.open_clip import OPEN_CLIP_TENSORS, clip_config, pixel_config
from lhtclip.clip.state_dict import TRANSFORMERS_TENSORS, TensorNames, gather, scatter
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
    """Load the configuration, the weights and the `tokenizer.json` of a folder.

    How pixels are normalised is told by `preprocessor_config.json`, where there is one, or by
    OpenCLIP's configuration.

    Raises:
        CheckpointNotFoundError: The folder or one of its files is missing.
        CheckpointError: A file cannot be read, a tensor is missing, left over or misshapen, or the
            files do not belong together.
    """
    layout = _layout(directory)
    config, pixels, names = _read_config(directory, layout)
    tokenizer_file = _existing(directory, layout, TOKENIZER_FILE)
    tokenizer = Tokenizer(tokenizer_file, context_length=config.text.max_position_embeddings)
    _check_end_token(tokenizer, config.text, layout)
    tensors = _read_weights(_existing(directory, layout, *layout.weight_files), layout)
    with torch.device("meta"):  # no memory and no time for weights that are replaced at once
        model = Clip(config)
    state = gather(model, tensors, names, config_file=layout.config_file)
    fingerprint = _fingerprint(state, config.text, tokenizer_file.read_bytes())
    state = {name: tensor.to(device=device, dtype=dtype) for name, tensor in state.items()}
    model.load_state_dict(state, assign=True)
    model.eval().requires_grad_(False)
    return Checkpoint(model, tokenizer, pixels, directory, fingerprint)


def save_checkpoint(model: Clip, directory: Path, *, dtype: torch.dtype) -> None:
    """Write `config.json` and `model.safetensors`, whole or not at all."""
    tensors = {
        name: tensor.detach().to("cpu", dtype)
        for name, tensor in scatter(model, TRANSFORMERS_TENSORS).items()
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
    config_file, weight_file = TRANSFORMERS.config_file, TRANSFORMERS.weight_files[0]
    write_atomically(directory / weight_file, save(tensors, metadata={"format": "pt"}))
    write_atomically(directory / config_file, (json.dumps(content, indent=2) + "\n").encode())


def _layout(directory: Path) -> Layout:
    if not directory.is_dir():
        raise CheckpointNotFoundError(f"There is no checkpoint folder {directory}.")
    layout = layout_of(directory)
    if layout is None:
        raise _absent(directory, TRANSFORMERS, *(each.config_file for each in LAYOUTS))
    return layout


def _existing(directory: Path, layout: Layout, *candidates: str) -> Path:
    for name in candidates:
        if (directory / name).is_file():
            return directory / name
    raise _absent(directory, layout, *candidates)


def _absent(directory: Path, layout: Layout, *candidates: str) -> CheckpointNotFoundError:
    return CheckpointNotFoundError(
        f"The checkpoint folder {directory} holds no {' or '.join(candidates)}; expected are "
        f"{layout.config_file}, {layout.weight_files[0]} and {TOKENIZER_FILE}."
    )


def _read_config(directory: Path, layout: Layout) -> tuple[ClipConfig, PixelConfig, TensorNames]:
    content = _read_json(directory / layout.config_file)
    if layout is OPEN_CLIP:
        return clip_config(content), pixel_config(content), OPEN_CLIP_TENSORS
    pixel_file = directory / PIXEL_FILE
    pixels = PixelConfig.from_json(_read_json(pixel_file) if pixel_file.is_file() else {})
    return ClipConfig.from_json(content), pixels, TRANSFORMERS_TENSORS


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


def _read_weights(path: Path, layout: Layout) -> Mapping[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(
            path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
        )
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is not loaded: it is broken, or holds more than tensors and could run code. "
            f"Use {layout.weight_files[0]} in its place."
        ) from error
    except Exception as error:  # what broken pickles and archives raise has no common root
        raise _unreadable(path, error) from error
    entries = cast("dict[Any, Any]", content) if isinstance(content, dict) else {}
    if not all(isinstance(value, Tensor) for value in entries.values()) or not entries:
        raise CheckpointError(f"{path} should hold tensors by name; it holds something else.")
    return {str(name): tensor for name, tensor in entries.items()}


def _check_end_token(tokenizer: Tokenizer, config: TextConfig, layout: Layout) -> None:
    if config.eos_token_id not in (tokenizer.end, LEGACY_END_TOKEN):
        raise CheckpointError(
            f"{TOKENIZER_FILE} ends prompts with token {tokenizer.end}, but "
            f"{layout.config_file} has them read out at token {config.eos_token_id}: the files do "
            "not belong together."
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
