"""How a preset was made, as it is written into the preset."""

from __future__ import annotations

from datetime import date
from typing import Any

from lhtclip import __version__


def made(
    *, model: str, data: str, labels: bool, seed: int, gap: float | None, **more: object
) -> dict[str, Any]:
    """Describe a calibration in JSON types.

    Args:
        model: The model's name as typed.
        data: Name of the images.
        labels: Whether they are labelled.
        seed: Decides which images are used.
        gap: The sparsity gap.
        more: What only one way of calibrating has.
    """
    return {
        "lhtclip": __version__,
        "date": date.today().isoformat(),
        "model": model,
        "data": data,
        "labels": labels,
        "seed": seed,
        "sparsity_gap": gap,
        **more,
    }
