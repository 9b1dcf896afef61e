"""From a folder in the layout of `transformers` or OpenCLIP, or OpenAI's archive, to a model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor

from lhtclip.checkpoints.device import choose_device, choose_dtype
from lhtclip.checkpoints.families import family_of, family_to_save, open_clip_family_of
from lhtclip.checkpoints.foreign import remedy_for
from lhtclip.checkpoints.hub import ARCHIVE_SUFFIX, canonical_name, resolve, tokenizer_of
from lhtclip.checkpoints.known_models import stated_activation
from lhtclip.checkpoints.layout import (
    LAYOUTS,
    OPEN_CLIP,
    TOKENIZER_FILE,
    TRANSFORMERS,
    Layout,
    layout_of,
)
from lhtclip.checkpoints.long_clip import one_position_table
from lhtclip.checkpoints.openai_archive import openai_config
from lhtclip.checkpoints.pe_archive import (
    PE_ARCHIVE_TENSORS,
    as_modules,
    is_pe_archive,
    pe_archive_config,
)
from lhtclip.checkpoints.pixel_files import read_pixels
from lhtclip.checkpoints.state_dict import gather, scatter
from lhtclip.checkpoints.weights import read_weights, unreadable, weight_files
from lhtclip.clip.config import PixelConfig, PromptConfig
from lhtclip.clip.family import Family, TensorNames
from lhtclip.clip.model import CLIP, Clip
from lhtclip.clip.open_clip import OPEN_CLIP_TENSORS, pixel_config
from lhtclip.clip.pe import PE_CORE
from lhtclip.clip.pe.model import PeCore
from lhtclip.clip.tokenizer import Tokenizer
from lhtclip.clip.tokenizer_files import (
    MERGES_FILE,
    SENTENCEPIECE_FILE,
    VOCABULARY_FILE,
    WORDS_FILE,
)
from lhtclip.clip.towers import ImageTextModel
from lhtclip.errors import CheckpointError, CheckpointNotFoundError, InputError, check_kind
from lhtclip.files import write_atomically
from lhtclip.files.json_files import read_json
from lhtclip.image.pixels import to_pixels
from lhtclip.techniques.presets import Preset, preset_for

_TRANSFORMERS_TEXT = "text_model."  # how its names of the text tower's tensors begin


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A loaded checkpoint.

    Attributes:
        model: Image and text tower, frozen.
        tokenizer: Turns prompts into token ids.
        pixels: How pixels are normalised.
        directory: The folder or archive that it was loaded from.
        fingerprint: SHA-256 of everything that a prompt's feature depends on: the tokenizer, and
            the text tower's configuration and stored weights. It is the key of cached features.
        name: "bundled", an id on the hub, or a path: one name per model.
    """

    model: ImageTextModel
    tokenizer: Tokenizer
    pixels: PixelConfig
    directory: Path
    fingerprint: str
    name: str = ""

    @property
    def preset(self) -> Preset:
        """The settings of LHT for it: its own file, the table, or layers by depth as in the paper.

        Raises:
            CheckpointError: Its `lht.json` is not a preset.
        """
        layers = self.model.config.vision.num_hidden_layers
        return preset_for(self.name, self.directory, layers=layers)

    def to_pixels(
        self, image: NDArray[np.uint8], size: tuple[int, int], *, resize: str = "bilinear"
    ) -> Tensor:
        """Resize RGB levels (H, W, 3) and normalise them for this model: (3, *size)."""
        vision = self.model.vision
        return to_pixels(
            image,
            size,
            mean=self.pixels.mean,
            std=self.pixels.std,
            device=vision.device,
            dtype=vision.dtype,
            resize=resize,
        )


def load_checkpoint(
    model: str | Path,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | str = "float32",
) -> Checkpoint:
    """Load a model: configuration, weights, tokenizer, and how pixels are normalised.

    Args:
        model: A short name ("ViT-B-16"), an id on the hub, "bundled", a folder in the layout of
            `transformers` or OpenCLIP, or an archive of OpenAI's or of PE-Core's authors (`.pt`),
            which has only weights; its tokenizer is that of `lhtclip.checkpoints.hub.tokenizer_of`.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        dtype: "auto", "float32", "bfloat16" or "float16".

    Raises:
        UnknownNameError: There is no such short name or precision.
        InputError: The device does not exist here.
        CheckpointNotFoundError: The model or one of its files is missing and cannot be downloaded.
        CheckpointError: A file cannot be read, a tensor is missing, unexpected or of a wrong shape,
            or the files do not belong together.
    """
    check_kind("model", model, str, Path)
    check_kind("device", device, str, torch.device)
    check_kind("dtype", dtype, str, torch.dtype)
    device = choose_device(device) if isinstance(device, str) else device
    dtype = choose_dtype(dtype, device) if isinstance(dtype, str) else dtype
    if not dtype.is_floating_point:
        raise InputError(f"dtype must be of floating-point numbers, such as float32, not {dtype}.")
    archive = isinstance(model, Path) and model.suffix == ARCHIVE_SUFFIX
    path = Path(model) if archive else resolve(model)
    stored = _read_archive(path) if path.is_file() else _read_folder(path)
    loaded = stored.model
    state = gather(loaded, stored.tensors, stored.names, config_file=stored.config_file)
    fingerprint = _fingerprint(state, loaded.config.text, _tokenizer_bytes(stored.tokenizer_file))
    state = {name: tensor.to(device=device, dtype=dtype) for name, tensor in state.items()}
    loaded.load_state_dict(state, assign=True)
    loaded.eval().requires_grad_(False)
    name = canonical_name(model)
    return Checkpoint(loaded, stored.tokenizer, stored.pixels, path, fingerprint, name)


def save_checkpoint(model: ImageTextModel, directory: Path, *, dtype: torch.dtype) -> None:
    """Write `config.json` and `model.safetensors`, whole or not at all.

    Raises:
        InputError: Models of this kind are only read.
    """
    content = model.config.to_json()
    tensors = {
        name: tensor.detach().to("cpu", dtype)
        for name, tensor in scatter(model, family_to_save(content).tensors).items()
    }
    config_file, weight_file = TRANSFORMERS.config_file, TRANSFORMERS.weight_files[0]
    write_atomically(directory / weight_file, save(tensors, metadata={"format": "pt"}))
    write_atomically(directory / config_file, (json.dumps(content, indent=2) + "\n").encode())


@dataclass(frozen=True, slots=True)
class _Stored:
    """The content of a checkpoint's files; errors name `config_file` as their description."""

    model: ImageTextModel
    pixels: PixelConfig
    names: TensorNames
    tensors: Mapping[str, Tensor]
    tokenizer: Tokenizer
    tokenizer_file: Path
    config_file: str


def _read_folder(directory: Path) -> _Stored:
    layout = _layout(directory)
    family, model, pixels = _read_config(directory, layout)
    tokenizer_file = _existing(directory, layout, TOKENIZER_FILE, *_older_tokenizer(directory))
    tokenizer = family.read_tokenizer(tokenizer_file, model.config, layout.config_file)
    weights = weight_files(directory, layout)
    if not weights:
        raise _absent(directory, layout, *layout.weight_files)
    tensors = family.prepare(read_weights(*weights, instead=layout.weight_files[0]))
    names = family.names_in(tensors, model.state_dict())
    return _Stored(model, pixels, names, tensors, tokenizer, tokenizer_file, layout.config_file)


def _read_archive(path: Path) -> _Stored:
    tensors = one_position_table(read_weights(path, instead="the archive that OpenAI published"))
    if is_pe_archive(tensors):
        family, names = PE_CORE, PE_ARCHIVE_TENSORS
        build = partial(PeCore, pe_archive_config(tensors, path=path))
        tensors = as_modules(tensors)
    elif any(name.startswith(_TRANSFORMERS_TEXT) for name in tensors):
        raise CheckpointError(
            f"{path} holds weights named as in `transformers`, without their configuration: "
            f"rename it {TRANSFORMERS.weight_files[1]}, put it into a folder with its "
            f"{TRANSFORMERS.config_file} and {TOKENIZER_FILE}, and give the folder."
        )
    else:
        family, names = CLIP, OPEN_CLIP_TENSORS
        build = partial(Clip, openai_config(tensors, path=path, activation=stated_activation(path)))
    with _without_weights():
        model = build()
    tokenizer_file = tokenizer_of(path)
    tokenizer = family.read_tokenizer(tokenizer_file, model.config, path.name)
    return _Stored(model, family.pixels, names, tensors, tokenizer, tokenizer_file, path.name)


def _layout(directory: Path) -> Layout:
    if not directory.is_dir():
        raise CheckpointNotFoundError(f"There is no checkpoint folder {directory}.")
    layout = layout_of(directory)
    if layout is None:
        raise _absent(directory, TRANSFORMERS, *(each.config_file for each in LAYOUTS))
    return layout


def _older_tokenizer(directory: Path) -> tuple[str, ...]:
    """Return the files that stand in for `tokenizer.json`; one of them only next to another."""
    both = (VOCABULARY_FILE,) if (directory / MERGES_FILE).is_file() else ()
    alone = (SENTENCEPIECE_FILE, WORDS_FILE)
    return (*both, *(file for file in alone if (directory / file).is_file()))


def _existing(directory: Path, layout: Layout, *candidates: str) -> Path:
    for name in candidates:
        if (directory / name).is_file():
            return directory / name
    raise _absent(directory, layout, *candidates)


def _absent(directory: Path, layout: Layout, *candidates: str) -> CheckpointNotFoundError:
    return CheckpointNotFoundError(
        f"The checkpoint folder {directory} has no {' or '.join(candidates)}. "
        + (
            remedy_for(directory)
            or f"It needs {layout.config_file}, {layout.weight_files[0]} and {TOKENIZER_FILE}."
        )
    )


def _read_config(directory: Path, layout: Layout) -> tuple[Family, ImageTextModel, PixelConfig]:
    content = _read_json(directory / layout.config_file)
    if layout is OPEN_CLIP:
        family, pixels = open_clip_family_of(content), pixel_config(content)
    else:
        family = family_of(content)
        pixels = read_pixels(directory, family.pixels, _read_json)
    with _without_weights():
        return family, family.build(content), pixels


@contextmanager
def _without_weights() -> Generator[None, None, None]:
    """Build modules without allocating or filling their weights."""
    try:
        with torch.device("meta"):
            yield
    except (RuntimeError, OverflowError) as error:  # more elements than torch can count
        raise CheckpointError(
            f"The configuration does not describe a model that can be built: {error}."
        ) from error


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} should hold a JSON object; it holds something else.")
    return cast("dict[str, Any]", content)


def _tokenizer_bytes(path: Path) -> bytes:
    if path.name == VOCABULARY_FILE:
        return path.read_bytes() + path.with_name(MERGES_FILE).read_bytes()
    return path.read_bytes()


def _fingerprint(state: Mapping[str, Tensor], config: PromptConfig, tokenizer: bytes) -> str:
    digest = hashlib.sha256(json.dumps(asdict(config)).encode())
    digest.update(hashlib.sha256(tokenizer).digest())
    for name in sorted(state):
        if name.startswith("text."):
            tensor = state[name].contiguous()
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
            digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
