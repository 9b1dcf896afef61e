"""Encode results for the service: JSON, a PNG of class indices, an overlay."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lhtclip.output.jpeg import encode_photo
from lhtclip.segmentation import Segmentation
from lhtclip.server.schemas import ClassAnswer, Part, SegmentAnswer

_PNG_LEVEL = 1  # labels compress well at any level; speed matters more


def describe(
    result: Segmentation,
    include: Sequence[Part],
    *,
    identifier: str | None,
    seconds: dict[str, float],
) -> SegmentAnswer:
    """Convert a result to the response."""
    height, width = result.labels.shape
    return SegmentAnswer(
        id=identifier,
        width=width,
        height=height,
        background=result.background,
        classes=_classes(result),
        labels=_text(labels_png(result.labels)) if "labels" in include else None,
        overlay=_text(encode_photo(result.overlay())) if "overlay" in include else None,
        polygons=polygons(result) if "polygons" in include else None,
        rle=run_lengths(result) if "rle" in include else None,
        seconds={name: round(value, 4) for name, value in seconds.items()},
    )


def labels_png(labels: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    """Encode class indices as a greyscale PNG, 8-bit or 16-bit, quickly."""
    file = io.BytesIO()
    Image.fromarray(labels).save(file, format="PNG", compress_level=_PNG_LEVEL)
    return file.getvalue()


def polygons(result: Segmentation) -> list[dict[str, Any]]:
    """Return the connected regions, each as rings of (x, y) pixel edges; holes follow the outline.

    The background is not a region.
    """
    regions = result.components()
    return [
        {
            "class": result.names[each.label],
            "score": round(float(score), 4),
            "area": each.area,
            "rings": [_closed(ring) for ring in (each.outer, *each.holes)],
        }
        for each, score in zip(regions.polygons(), regions.scores, strict=True)
    ]


def run_lengths(result: Segmentation) -> list[dict[str, Any]]:
    """Return the connected regions as COCO's annotations with compressed run lengths."""
    return result.to_coco()["annotations"]


def _closed(ring: NDArray[Any]) -> list[list[int]]:
    points = ring.tolist()
    return [*points, points[0]]


def _classes(result: Segmentation) -> list[ClassAnswer]:
    count = len(result.names)
    flat = result.labels.ravel()
    pixels = np.bincount(flat, minlength=count)[:count]
    scores = np.bincount(flat, weights=result.scores.ravel(), minlength=count)[:count]
    return [
        ClassAnswer(
            index=index,
            name=name,
            colour=f"#{bytes(colour).hex()}",
            share=int(pixels[index]) / flat.size,
            score=float(scores[index] / pixels[index]) if pixels[index] else None,
        )
        for index, (name, colour) in enumerate(zip(result.names, result.colours, strict=True))
    ]


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
