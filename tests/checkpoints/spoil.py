"""Changes to checkpoints on disk, for tests of what loading says about them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

WEIGHTS, PICKLED = "model.safetensors", "pytorch_model.bin"


def change_weights(
    folder: Path, change: Callable[[dict[str, Tensor]], object], *, file: str = WEIGHTS
) -> None:
    tensors = load_file(folder / file)
    change(tensors)
    save_file(tensors, folder / file)


def change_config(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads((folder / "config.json").read_text())
    change(content)
    (folder / "config.json").write_text(json.dumps(content))


def as_pickle(folder: Path, *, file: str = WEIGHTS, pickled: str = PICKLED, **options: Any) -> None:
    tensors = load_file(folder / file)
    (folder / file).unlink()
    torch.save(tensors, folder / pickled, **options)


def assert_ready_for_inference(model: nn.Module) -> None:
    assert not model.training
    for parameter in model.parameters():
        assert parameter.dtype == torch.float32
        assert not parameter.requires_grad
        assert not parameter.is_meta
        assert parameter.isfinite().all()
