"""Everything that decides a run's counts, in JSON types: equal settings give equal counts.

The number of threads is not included: it may change the last bit of the arithmetic, but a run may
continue with more or fewer threads.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, cast

import torch

from lhtclip import __version__
from lhtclip.datasets.dataset import Dataset
from lhtclip.errors import listed
from lhtclip.segmenter import Segmenter
from lhtclip.text.vocabulary import Vocabulary

_SHOWN = 4  # changed settings in a message


def decisive_settings(
    segmenter: Segmenter, dataset: Dataset, vocabulary: Vocabulary, **of_the_run: object
) -> dict[str, Any]:
    """Collect everything that the counts depend on: code, model, settings, prompts, images.

    Args:
        segmenter: The segmenter.
        dataset: The images of the run, in order.
        vocabulary: The prompts of all classes.
        of_the_run: Further settings, in JSON types.
    """
    checkpoint, encoder = segmenter.checkpoint, segmenter.encoder
    table = checkpoint.model.vision.positions
    content = {
        "lhtclip": __version__,
        "torch": torch.__version__,
        "device": table.device.type,
        "dtype": str(table.dtype).removeprefix("torch."),
        "text_tower": checkpoint.fingerprint,
        "pixels": asdict(checkpoint.pixels),
        "engine": segmenter.runner.engine,
        **encoder.settings(),
        "windows": asdict(segmenter.windows),
        "decoding": asdict(segmenter.decoding),
        "templates": _digest(segmenter.texts.templates),
        "words": _digest([dataset.names, asdict(vocabulary)]),
        "dataset": dataset.name,
        "images": len(dataset.samples),
        "keys": _digest([(sample.key, sample.candidates) for sample in dataset.samples]),
        **of_the_run,
    }
    return json.loads(json.dumps(content))  # tuples become lists, as when read back


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Name a few of the settings that differ, such as "windows.stride 112, now 56"."""
    changes = [f"{name} {old!r}, now {new!r}" for name, old, new in _changes(before, now)]
    return listed(changes, most=_SHOWN)


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
