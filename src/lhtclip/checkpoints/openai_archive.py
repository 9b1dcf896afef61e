"""OpenAI's own archives: TorchScript files, read without running them; tensors give the shape.

Such a `.pt` is a zip: `data.pkl` pickles the module tree, `data/<key>` are the bytes of its
tensors, and `code/` is a program, which is never read.
"""

from __future__ import annotations

import logging
import math
import pickle
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from lhtclip.checkpoints.shapes import HEAD_WIDTH, Shapes
from lhtclip.clip.config import ClipConfig, VisionConfig
from lhtclip.errors import CheckpointError

# Buffers of OpenAI's archives. The shapes say the same, but their presence identifies the file.
OPENAI_MARKS = frozenset({"input_resolution", "context_length", "vocab_size"})
# Image towers of OpenCLIP with heads of another width: ViT-SO400M, H, g, bigG and e.
_HEAD_WIDTH_OF = {1152: 72, 1280: 80, 1408: 88, 1664: 104, 1792: 112}
_logger = logging.getLogger("lhtclip")


def is_torchscript(path: Path) -> bool:
    """Whether a file is a TorchScript archive, unlike what `torch.save` writes."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def read_torchscript(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a TorchScript archive by name, as stored, on the CPU.

    Nothing in the archive is run: its pickle may name tensors and classes of its own program, which
    an inert object replaces, and nothing else.

    Raises:
        pickle.UnpicklingError: It names anything else.
        Exception: Of many kinds, for broken zips and pickles.
    """
    with zipfile.ZipFile(path) as archive:
        root = archive.namelist()[0].partition("/")[0]
        with archive.open(f"{root}/data.pkl") as stream:
            module = _Unpickler(stream, archive, f"{root}/data").load()
    return dict(_tensors(module))


def openai_config(tensors: Mapping[str, Tensor], *, path: Path, activation: str = "") -> ClipConfig:
    """Return the configuration that OpenAI's tensors belong to.

    Heads are 64 wide, as in all of their vision transformers, and the activation is QuickGELU. The
    shapes show neither: a file without OpenAI's marks is assumed to be theirs, with a warning, or
    OpenCLIP's if OpenAI published none of its width, with OpenCLIP's wide heads and GELU.

    Args:
        tensors: By OpenAI's names.
        path: Their file, for messages.
        activation: A name in `lhtclip.clip.layers.ACTIVATIONS`, where it is known.

    Raises:
        CheckpointError: It is not a CLIP, or one with a ResNet.
    """
    if any(name.startswith("visual.attnpool.") for name in tensors):
        raise CheckpointError(
            f"{path} is a CLIP with a ResNet; only those with a vision transformer can be read: "
            "ViT-B-32.pt, ViT-B-16.pt, ViT-L-14.pt and ViT-L-14-336px.pt."
        )
    shapes = Shapes(tensors, path, kind="one of OpenAI's CLIPs")
    width, _, _, patch = shapes.of("visual.conv1.weight", 4)
    grid = math.isqrt(shapes.of("visual.positional_embedding", 2)[0] - 1)
    blocks = "visual.transformer.resblocks."
    stated = bool(activation)
    activation = activation or ("gelu" if width in _HEAD_WIDTH_OF else "quick_gelu")
    config = ClipConfig(
        vision=VisionConfig(
            hidden_size=width,
            intermediate_size=shapes.of(f"{blocks}0.mlp.c_fc.weight", 2)[0],
            num_hidden_layers=shapes.count(blocks),
            num_attention_heads=shapes.heads(width, _HEAD_WIDTH_OF.get(width, HEAD_WIDTH)),
            image_size=grid * patch,
            patch_size=patch,
            hidden_act=activation,
        ),
        text=shapes.text(activation),
        projection_dim=shapes.of("text_projection", 2)[1],
    )
    if not (stated or OPENAI_MARKS & tensors.keys()):
        _logger.warning(
            "%s does not say how its tensors are used; assuming %d heads and %s, as in %s. If it "
            "was trained differently, put it into a folder with an open_clip_config.json.",
            path,
            config.vision.num_attention_heads,
            "GELU" if width in _HEAD_WIDTH_OF else "QuickGELU",
            "OpenCLIP's of this width" if width in _HEAD_WIDTH_OF else "all of OpenAI's",
        )
    return config


# The names that the pickle may use. Their replacements have no attributes that a pickle could set,
# so one archive cannot change how the next is read.


class _Module:
    """Replaces every class of the archive's program; has an instance's attributes."""

    __slots__ = ("attributes",)

    def __setstate__(self, state: object) -> None:
        self.attributes = state


class _Rebuild:
    """Views a storage as a tensor, as `torch._utils._rebuild_tensor_v2` does."""

    __slots__ = ()

    def __call__(
        self, storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any
    ) -> Tensor:
        return storage.as_strided(size, stride, offset)


class _Nothing:
    """Replaces attributes that are typed lists or dicts, which contain no weights."""

    __slots__ = ()

    def __call__(self, *_: Any) -> None:
        return None


_STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_GLOBALS: dict[tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor_v2"): _Rebuild(),
    ("collections", "OrderedDict"): dict,  # of a tensor's hooks; always empty
    **{("torch", name): dtype for name, dtype in _STORAGES.items()},
    **{
        ("torch.jit._pickle", name): _Nothing()
        for name in ("build_intlist", "build_doublelist", "build_boollist", "restore_type_tag")
    },
}


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: Any, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(stream)
        self._archive, self._folder = archive, folder
        self._storages: dict[str, Tensor] = {}

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if module_name.partition(".")[0] == "__torch__":
            return _Module
        if (module_name, global_name) not in _GLOBALS:
            raise pickle.UnpicklingError(f"{module_name}.{global_name} is not allowed")
        return _GLOBALS[module_name, global_name]

    def persistent_load(self, pid: Any) -> Tensor:
        _, dtype, key, _, count = pid  # the fourth is the device it was saved from
        if key not in self._storages:
            content = bytearray(self._archive.read(f"{self._folder}/{key}"))
            self._storages[key] = torch.frombuffer(content, dtype=dtype, count=count)
        return self._storages[key]


def _tensors(module: object, prefix: str = "") -> Iterable[tuple[str, Tensor]]:
    if not isinstance(module, _Module):
        raise pickle.UnpicklingError("it contains no module")
    for name, value in cast("dict[str, Any]", module.attributes).items():
        if isinstance(value, Tensor) and name != "attn_mask":  # computed, not learned
            yield prefix + name, value
        elif isinstance(value, _Module):
            yield from _tensors(value, f"{prefix}{name}.")
