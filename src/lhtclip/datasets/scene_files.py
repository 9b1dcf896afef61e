"""Scenes: images with the class of every pixel known, each with a few candidate classes.

A folder of scenes has a `scenes.json`:
{"scenes": [{"image": "scene-01.png", "labels": "scene-01.labels.png",
             "classes": [["cat"], ["grass", "lawn"]]}]}
A pixel of the label map is an index into the classes of its scene, or 255, which is ignored.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from lhtclip.errors import InputError, reason_of
from lhtclip.files import write_atomically
from lhtclip.files.json_files import read_json
from lhtclip.output.png import decode_labels, encode_labels, encode_picture

SCENES_FILE = "scenes.json"
IGNORED = 255  # the largest value of uint8, as everywhere


@dataclass(frozen=True, slots=True)
class Scene:
    """One image, its label map, and the prompts of its classes, of which the first is the name."""

    image: Path
    labels: Path
    classes: tuple[tuple[str, ...], ...]

    @property
    def name(self) -> str:
        """The image's file name without suffix."""
        return self.image.stem

    @property
    def names(self) -> tuple[str, ...]:
        """One name per class."""
        return tuple(synonyms[0] for synonyms in self.classes)

    def truth(self) -> npt.NDArray[np.uint8]:
        """Read the label map (H, W).

        Raises:
            InputError: The file is missing or broken, or a label has no class.
        """
        labels = decode_labels(self.labels)
        highest = int(labels.max(where=labels != IGNORED, initial=0))
        if labels.dtype != np.uint8 or highest >= len(self.classes):
            raise InputError(
                f"{self.labels} must be an 8-bit label map of {len(self.classes)} classes; it has "
                f"{labels.dtype} values up to {highest}."
            )
        return labels.astype(np.uint8)


def bundled_scenes() -> tuple[Scene, ...]:
    """Return the bundled scenes."""
    return load_scenes(Path(str(resources.files("lhtclip"))) / "data" / "scenes")


def load_scenes(folder: str | Path) -> tuple[Scene, ...]:
    """List the scenes of a folder; images are opened on demand.

    Raises:
        InputError: `scenes.json` is missing or cannot be used.
    """
    folder = Path(folder)
    path = folder / SCENES_FILE
    try:
        content: Any = read_json(path)
    except OSError as error:
        raise InputError(f"Cannot read the scenes {path}: {reason_of(error)}.") from error
    except ValueError as error:
        raise InputError(f"The scenes {path} are not JSON: {error}.") from error
    try:
        scenes = tuple(_scene(folder, entry) for entry in content["scenes"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"The scenes {path} cannot be used ({error}); expected "
            '{"scenes": [{"image": "a.png", "labels": "a.labels.png", "classes": [["cat"]]}]}.'
        ) from error
    if not scenes:
        raise InputError(f"{path} lists no scene.")
    return scenes


def save_scenes(
    folder: str | Path,
    pictures: Iterable[
        tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], Sequence[Sequence[str]]]
    ],
) -> tuple[Scene, ...]:
    """Write scenes, the list last, so that a folder with a list is complete.

    Args:
        folder: Created if needed.
        pictures: For each scene the RGB levels (H, W, 3), the labels (H, W) as indices into its
            classes or 255, and these classes, each as its prompts.

    Raises:
        InputError: Parts do not match, or the folder cannot be written to.
    """
    folder = Path(folder)
    scenes: list[Scene] = []
    for number, (image, labels, classes) in enumerate(pictures, start=1):
        _check_picture(number, image, labels, classes)
        stem = f"scene-{number:02d}"
        scene = Scene(
            image=write_atomically(folder / f"{stem}.png", encode_picture(Image.fromarray(image))),
            labels=write_atomically(folder / f"{stem}.labels.png", encode_labels(labels)),
            classes=tuple(tuple(synonyms) for synonyms in classes),
        )
        scenes.append(scene)
    content = {
        "scenes": [
            {
                "image": scene.image.name,
                "labels": scene.labels.name,
                "classes": [list(synonyms) for synonyms in scene.classes],
            }
            for scene in scenes
        ]
    }
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    write_atomically(folder / SCENES_FILE, text.encode())
    return tuple(scenes)


def _scene(folder: Path, entry: Any) -> Scene:
    classes = tuple(_synonyms(words) for words in entry["classes"])
    if not 0 < len(classes) <= IGNORED or len({words[0] for words in classes}) < len(classes):
        raise ValueError(f"a scene needs 1 to {IGNORED} classes of different names")
    return Scene(folder / entry["image"], folder / entry["labels"], classes)


def _synonyms(words: Any) -> tuple[str, ...]:
    if not isinstance(words, list) or not words or not all(isinstance(w, str) for w in words):
        raise ValueError(f"a class is a list of prompts, not {words!r}")
    return tuple(words)


def _check_picture(
    number: int,
    image: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.uint8],
    classes: Sequence[Sequence[str]],
) -> None:
    if image.shape != (*labels.shape, 3) or image.dtype != np.uint8 or labels.dtype != np.uint8:
        raise InputError(
            f"Scene {number} needs uint8 arrays (H, W, 3) and (H, W), got {image.dtype} of shape "
            f"{image.shape} and {labels.dtype} of shape {labels.shape}."
        )
    highest = int(labels.max(where=labels != IGNORED, initial=0))
    if highest >= len(classes):
        raise InputError(f"Scene {number} has the label {highest} but only {len(classes)} classes.")
