"""Folders that other programs write, and what to do with them."""

from __future__ import annotations

from pathlib import Path

from lhtclip.checkpoints.layout import LAYOUTS, WEIGHT_SUFFIXES, layout_of
from lhtclip.errors import listed

_KINDS = {  # a file by which to know such a folder, and what to do with it
    "adapter_config.json": "It holds an adapter (PEFT): merge it into its model, "
    "merge_and_unload(), and save that with its processor.",
    "flax_model.msgpack": "It holds weights of Flax: save them for torch with transformers 4, "
    "from_pretrained(..., from_flax=True).save_pretrained(...).",
    "tf_model.h5": "It holds weights of TensorFlow: save them for torch with transformers 4, "
    "from_pretrained(..., from_tf=True).save_pretrained(...).",
    ".metadata": "It holds a distributed checkpoint: convert it, python -m "
    "torch.distributed.checkpoint.format_utils dcp_to_torch IN OUT.",
}


def remedy_for(directory: Path) -> str | None:
    """Say what to do with a folder that is no checkpoint; None if nothing is known of it."""
    for file, remedy in _KINDS.items():
        if (directory / file).is_file():
            return remedy
    files = sorted(directory.iterdir())
    broken = [path.name for path in files if path.is_symlink() and not path.exists()]
    if broken:
        return (
            f"{listed(broken)} are links to files that are not here: copy the folder with what "
            "they link to, cp -rL."
        )
    weights = [path for path in files if path.suffix in WEIGHT_SUFFIXES and path.is_file()]
    layout = layout_of(directory)
    if layout and len(weights) == 1 and weights[0].name not in layout.weight_files:
        right = layout.weight_files[0 if weights[0].suffix == ".safetensors" else 1]
        return f"If {weights[0].name} has the weights, rename it {right}."
    inside = sorted(
        path.parent for layout in LAYOUTS for path in directory.glob(f"*/{layout.config_file}")
    )
    return f"Its folder {inside[0].name} has one: give {inside[0]}." if inside else None
