"""The options of a command of `lhtclip analyze`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AnalyzeOptions:
    """The options of a command of `lhtclip analyze`, as typed."""

    name: str
    root: str | None
    model: str
    preset: str | None
    limit: int | None
    seed: int | None
    batch: int
    device: str
    dtype: str
    out: str
    figures: bool | None
    as_json: bool
    quiet: bool
    compare_paper: bool = False
    ssr: bool = True  # layers
    templates: str | None = None  # layers
    atr: bool = False  # heads
    threshold: float | None = None  # tokens
