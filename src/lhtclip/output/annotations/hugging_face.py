"""Hugging Face's forms: the result of its image-segmentation pipeline, and lines of data sets."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from PIL import Image

from lhtclip.regions.runs import Labels


def pipeline_list(labels: Labels, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """List the classes present as `transformers`' semantic segmentation does.

    Each is {"score": None, "label": name, "mask": PIL image of mode "L", 255 inside the class}.
    """
    present = np.flatnonzero(np.bincount(labels.ravel(), minlength=len(names))[: len(names)])
    return [
        {
            "score": None,
            "label": names[index],
            "mask": Image.fromarray((labels == index).astype(np.uint8) * 255),
        }
        for index in present.tolist()
    ]


def metadata_line(image: str, mask: str) -> str:
    """Return an image's line in `metadata.jsonl`; its columns become `image` and `mask`."""
    content = {"file_name": image, "mask_file_name": mask}
    return json.dumps(content, ensure_ascii=False) + "\n"
