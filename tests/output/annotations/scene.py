"""One label map with what formats stumble over: holes, ignored pixels, a background, odd names."""

from __future__ import annotations

import numpy as np

from lhtclip.output.annotations.classes import ClassList
from lhtclip.regions.instances import Instances, instances_of
from tests.regions.label_maps import blobs

NAMES = ("background", "car", "grüne Wiese", 'sky & "sea"')
CLASSES = ClassList(NAMES, background=0)
LABELS = blobs(45, 70, 4, seed=7)
LABELS[:4, 10:30] = 255
SCORES = np.random.default_rng(1).random(LABELS.shape, dtype=np.float32)


def scene_instances() -> Instances:
    return instances_of(LABELS, SCORES, skipped=(0,), ignored=255)
