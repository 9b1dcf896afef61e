"""Everything that decides a run's counts, in JSON types: equal settings give equal counts.

The number of threads is not included: it may change the last bit of the arithmetic, but a run may
continue with more or fewer threads.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any

import torch

from lhtclip import __version__
from lhtclip.datasets.dataset import Dataset
from lhtclip.files.json_files import plain_json
from lhtclip.segmenter import Segmenter
from lhtclip.text.vocabulary import Vocabulary


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
    content = {
        "lhtclip": __version__,
        "torch": torch.__version__,
        **{name: value for name, value in segmenter.settings().items() if name != "model"},
        "windows": asdict(segmenter.windows),
        "templates": _digest(segmenter.texts.templates),
        "words": _digest([dataset.names, asdict(vocabulary)]),
        "dataset": dataset.name,
        "images": len(dataset.samples),
        "keys": _digest([(sample.key, sample.candidates) for sample in dataset.samples]),
        **of_the_run,
    }
    return plain_json(content)


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
