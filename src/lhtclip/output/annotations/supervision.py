"""Roboflow supervision's `Detections`: the connected regions with masks, classes and scores."""

from __future__ import annotations

from typing import Any

import numpy as np

from lhtclip.extras import import_extra
from lhtclip.output.annotations.classes import ClassList
from lhtclip.regions.instances import Instances


def detections(instances: Instances, classes: ClassList) -> Any:
    """Return `supervision.Detections`; the masks are (regions, height, width) bool.

    Raises:
        MissingDependencyError: supervision is not installed.
    """
    supervision = import_extra("supervision", purpose="Detections")
    chosen, numbers = instances.chosen, instances.components.map()
    x, y, width, height = instances.components.box[chosen].T
    labels = instances.components.label[chosen].astype(int)
    return supervision.Detections(
        xyxy=np.stack([x, y, x + width, y + height], axis=1).astype(np.float32),
        mask=numbers == chosen[:, None, None],
        confidence=instances.scores.astype(np.float32),
        class_id=labels,
        data={"class_name": np.array(classes.names)[labels]},
    )
