"""The rendered scenes: each image may be labelled with its own classes only."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from lhtclip.datasets.dataset import Dataset, DatasetSpec, Sample, Truth
from lhtclip.datasets.scene_files import SCENES_FILE, Scene, bundled_scenes, load_scenes
from lhtclip.errors import InputError
from lhtclip.segmentation import ignored_label, label_dtype


def read_scenes(root: Path | None = None) -> Dataset:
    """Read the bundled scenes, or those of a folder with `scenes.json`.

    The classes are those of all scenes in order of appearance; classes of the same name are one,
    with the prompts of all these scenes.

    Raises:
        InputError: `scenes.json` is missing or cannot be used, or two scenes have the same name.
    """
    scenes = bundled_scenes() if root is None else load_scenes(root)
    words: dict[str, dict[str, None]] = {}
    for synonyms in (synonyms for scene in scenes for synonyms in scene.classes):
        words.setdefault(synonyms[0], {}).update(dict.fromkeys(synonyms))
    index = {name: position for position, name in enumerate(words)}
    samples = [
        _sample(scene, tuple(index[name] for name in scene.names), classes=len(words))
        for scene in scenes
    ]
    keys = [sample.key for sample in samples]
    if len(set(keys)) < len(keys):
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise InputError(f"Two of the scenes in {root} have an image called {repeated}.")
    return Dataset(
        "scenes",
        tuple(words),
        tuple(sorted(samples, key=lambda sample: sample.key)),
        classes=tuple(tuple(synonyms) for synonyms in words.values()),
    )


def _sample(scene: Scene, candidates: tuple[int, ...], *, classes: int) -> Sample:
    truth = partial(_truth, scene, candidates, classes)
    return Sample(scene.name, scene.image, truth, candidates, labels=scene.labels)


def _truth(scene: Scene, candidates: tuple[int, ...], classes: int) -> Truth:
    """Read a scene's labels, which index its own classes, as labels of the whole data set."""
    labels, dtype = scene.truth(), label_dtype(classes)
    table = np.full(ignored_label(labels.dtype) + 1, ignored_label(dtype), dtype)
    table[: len(candidates)] = candidates
    return table[labels]


SCENES = DatasetSpec(
    "scenes",
    read_scenes,
    (f"{SCENES_FILE}; without --root, the scenes that come with the package",),
    read_bundled=read_scenes,
)
