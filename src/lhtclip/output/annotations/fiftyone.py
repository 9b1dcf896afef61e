"""FiftyOne's `Segmentation` label. Its app does not show the value 0: classes count from 1."""

from __future__ import annotations

from typing import Any

from lhtclip.extras import import_extra
from lhtclip.output.annotations.classes import shifted
from lhtclip.regions.runs import Labels


def segmentation(labels: Labels, *, classes: int) -> Any:
    """Return `fiftyone.Segmentation` with class index + 1 in its mask; ignored pixels are 0.

    Raises:
        MissingDependencyError: fiftyone is not installed.
    """
    fiftyone = import_extra("fiftyone", purpose="FiftyOne labels")
    return fiftyone.Segmentation(mask=shifted(labels, 1, classes=classes))


def mask_targets(names: tuple[str, ...]) -> dict[int, str]:
    """Return the meaning of the mask's values, for `dataset.default_mask_targets`."""
    return dict(enumerate(names, start=1))
