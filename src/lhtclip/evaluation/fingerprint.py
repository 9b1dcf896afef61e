"""All that decides a run's counts, as JSON types: where it is equal, the counts are.

The number of threads is left out: a machine's arithmetic may change with it in the last bit, but a
run that was started on one machine may go on there with more or fewer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, is_dataclass
from functools import partial
from typing import Any, cast

import torch

from lhtclip import __version__
from lhtclip.attention import LastBlockRule
from lhtclip.clip.towers import ImageTower
from lhtclip.evaluation.datasets.dataset import Dataset
from lhtclip.segmenter import Segmenter
from lhtclip.vocabulary import Vocabulary

_SHOWN = 4  # changed settings in a message


def decisive_settings(
    segmenter: Segmenter, dataset: Dataset, vocabulary: Vocabulary, **of_the_run: object
) -> dict[str, Any]:
    """Gather what the counts depend on: code, model, method, settings, words, pictures.

    Args:
        segmenter: What labels.
        dataset: The pictures that are taken, in their order.
        vocabulary: The words of all classes.
        of_the_run: Further settings, in types that JSON knows.
    """
    checkpoint, encoder = segmenter.checkpoint, segmenter.encoder
    table = checkpoint.model.vision.positions
    content = {
        "lhtclip": __version__,
        "torch": torch.__version__,
        "device": table.device.type,
        "dtype": str(table.dtype).removeprefix("torch."),
        "image_tower": image_tower_fingerprint(checkpoint.model.vision),
        "text_tower": checkpoint.fingerprint,
        "pixels": asdict(checkpoint.pixels),
        "method": encoder.rule.name,
        "method_settings": rule_settings(encoder.rule),
        "residual": encoder.residual,
        "mlp": encoder.mlp,
        "techniques": asdict(encoder.lht),
        "windows": asdict(segmenter.windows),
        "decoding": asdict(segmenter.decoding),
        "templates": _digest(segmenter.texts.templates),
        "words": _digest([dataset.names, asdict(vocabulary)]),
        "dataset": dataset.name,
        "images": len(dataset.samples),
        "keys": _digest([(sample.key, sample.candidates) for sample in dataset.samples]),
        **of_the_run,
    }
    return json.loads(json.dumps(content))  # tuples become lists, as in what is read back


def image_tower_fingerprint(vision: ImageTower) -> str:
    """Return a SHA-256 of the image tower's configuration and its weights as loaded."""
    digest = hashlib.sha256(json.dumps(asdict(vision.config)).encode())
    for name, tensor in sorted(vision.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        digest.update(tensor.contiguous().cpu().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def rule_settings(rule: LastBlockRule) -> dict[str, Any]:
    """Return the settings that a rule was built with, by name; most rules have none."""
    given = rule.mix.keywords if isinstance(rule.mix, partial) else {}
    return {
        name: asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
        for name, value in given.items()
    }


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Name the settings that differ, such as "windows.stride 112, now 56"; a few of them."""
    changes = [f"{name} {old!r}, now {new!r}" for name, old, new in _changes(before, now)]
    more = len(changes) - _SHOWN
    return ", ".join(changes[:_SHOWN]) + (f", and {more} more" if more > 0 else "")


def _changes(
    before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, object, object]]:
    for name in {**before, **now}:
        old, new = before.get(name), now.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _changes(
                cast("Mapping[str, Any]", old), cast("Mapping[str, Any]", new), f"{prefix}{name}."
            )
        elif old != new:
            yield f"{prefix}{name}", old, new


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
