"""The paper's tables once more: a row's settings for a checkpoint, and what it measures there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from lhtclip.checkpoints.checkpoint import Checkpoint
from lhtclip.config import SegmenterConfig
from lhtclip.datasets import Dataset
from lhtclip.evaluation.measure import measure
from lhtclip.evaluation.protocol import Protocol
from lhtclip.evaluation.published_protocols import protocol_for, publication_of
from lhtclip.evaluation.runner import Running
from lhtclip.paper.gains import unsuited, with_gains
from lhtclip.paper.tables import CHANNELS, PRESET, Row, SheChange, SsrChange
from lhtclip.techniques.atr import AtrSettings
from lhtclip.techniques.presets import Preset
from lhtclip.techniques.settings import LhtSettings
from lhtclip.techniques.she import Head, SheSettings
from lhtclip.techniques.ssr import SsrSettings
from lhtclip.text.embeddings import TextEncoder
from lhtclip.text.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Missing:
    """Why a row cannot be measured."""

    reason: str


def settings_of(row: Row, preset: Preset, *, depth: int, heads: int) -> LhtSettings | Missing:
    """Turn a row into settings for a checkpoint.

    Args:
        row: Of a table of the paper.
        preset: The checkpoint's.
        depth: Layers of its image tower.
        heads: Heads of each layer.
    """
    she = _she(row.she, preset, depth=depth, heads=heads)
    if isinstance(she, Missing):
        return she
    ssr = _ssr(row.ssr, preset, depth=depth)
    if isinstance(ssr, Missing):
        return ssr
    atr = _atr(row.atr, preset)
    if isinstance(atr, Missing):
        return atr
    return LhtSettings(ssr=ssr, atr=atr, she=she)


def _ssr(
    change: SsrChange | str | None, preset: Preset, *, depth: int
) -> SsrSettings | Missing | None:
    if not isinstance(change, SsrChange):
        return preset.ssr if change == PRESET else None
    layers = preset.ssr.layers
    if change.layers is not None:
        if change.layers >= depth:
            return Missing(f"the tower has only {depth - 1} layers before its last one")
        layers = tuple(range(depth - change.layers, depth))
    alpha = preset.ssr.alpha if change.alpha is None else change.alpha
    return SsrSettings(layers=layers, alpha=alpha)


def _atr(change: float | str | None, preset: Preset) -> AtrSettings | Missing | None:
    if isinstance(change, float):
        return replace(preset.atr, threshold=change)
    if change == CHANNELS:
        if not preset.channels:
            return Missing("the checkpoint's preset has no abnormal channels")
        return preset.atr_by(CHANNELS)
    return preset.atr if change == PRESET else None


def _she(
    change: SheChange | str | None, preset: Preset, *, depth: int, heads: int
) -> SheSettings | Missing | None:
    if change is None:
        return None
    if preset.she is None:
        return Missing("the checkpoint's preset ranks no heads; `lhtclip calibrate` makes one")
    if not isinstance(change, SheChange):
        return preset.she
    chosen: Sequence[Head] = preset.she.heads
    if change.layer is not None:
        layer = round(change.layer * depth)
        chosen = [(layer, head) for head in range(1, heads + 1)]
    elif change.heads is not None:
        ranking = preset.ranking or preset.she.heads
        if change.heads > len(ranking):
            return Missing(f"the checkpoint's preset ranks only {len(ranking)} heads")
        chosen = ranking[: change.heads]
    beta = preset.she.beta if change.beta is None else change.beta
    return replace(preset.she, heads=tuple(chosen), beta=beta)


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """What the rows of a table share.

    Attributes:
        checkpoint: The model.
        texts: Embeds the class names.
        preset: The model's settings of the techniques.
        folder: Keeps the counts of each row, so that a stopped run resumes and a row that occurs
            in several tables is measured once; None keeps nothing.
    """

    checkpoint: Checkpoint
    texts: TextEncoder
    preset: Preset
    folder: Path | None

    def measure(
        self,
        row: Row,
        dataset: Dataset,
        *,
        progress: Callable[[Running], None] | None = None,
    ) -> tuple[float, float] | Missing:
        """Return a row's mIoU in percent and seconds an image on a data set, or why it has none."""
        vision = self.checkpoint.model.config.vision
        settings = settings_of(
            row,
            self.preset,
            depth=vision.num_hidden_layers,
            heads=vision.num_attention_heads,
        )
        if isinstance(settings, Missing):
            return settings
        protocol = protocol_of(row, dataset.name)
        if reason := unsuited(protocol, row.gains):
            return Missing(reason)
        self._warm_up(protocol.vocabulary(dataset))
        evaluation = measure(
            SegmenterConfig(
                model=self.checkpoint.name,
                method=row.method,
                lht=settings,
                residual=False if row.bare else None,
                mlp=False if row.bare else None,
            ),
            dataset,
            protocol,
            checkpoint=self.checkpoint,
            texts=self.texts,
            folder=self.folder,
            progress=progress,
        )
        return 100 * evaluation.confusion.mean_iou, evaluation.seconds / evaluation.images

    def _warm_up(self, vocabulary: Vocabulary) -> None:
        """Do what happens once, so that the first row is not charged with it."""
        vision = self.checkpoint.model.vision
        side = vision.config.image_size
        vision(torch.zeros(1, 3, side, side, device=vision.device, dtype=vision.dtype))
        self.texts.encode(vocabulary.queries)


def protocol_of(row: Row, dataset: str) -> Protocol:
    """Return the settings of a row: those of LHT-CLIP's tables, in rows without LHT too."""
    protocol = protocol_for(dataset, publication_of(row.method, lht=True))
    return with_gains(protocol, row.gains)


def reference_of(row: Row, table: Sequence[Row]) -> Row | None:
    """Return the row that a gain is counted from: the same host without LHT, or the first row."""
    if row is table[0]:
        return None
    host = next((other for other in table if f"{other.title} + LHT" == row.title), None)
    has_hosts = any(other.title.endswith(" + LHT") for other in table)
    return host if has_hosts else table[0]


@dataclass(frozen=True, slots=True)
class Measured:
    """A row and what came out, by data set.

    Attributes:
        row: The row.
        results: mIoU in percent, or the reason why there is none.
        seconds: Seconds an image, where there is an mIoU.
    """

    row: Row
    results: Mapping[str, float | Missing]
    seconds: Mapping[str, float] = field(default_factory=dict[str, float])

    def average(self, columns: Sequence[str]) -> float | None:
        """Mean over the columns; None unless all are measured."""
        values = [self.results.get(name) for name in columns]
        numbers = [value for value in values if isinstance(value, float)]
        return sum(numbers) / len(numbers) if len(numbers) == len(values) else None
