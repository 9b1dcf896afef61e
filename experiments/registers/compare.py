"""Compare test-time registers with ATR, in one table.

`python -m experiments.registers.compare --images runs/calibration --scenes runs/test` finds the
neurons of the bundled model on unlabelled images, and measures on other scenes: the share of
abnormal tokens that enter the last block, the mean Hoyer score, and the mIoU of a method without
residual connection and MLP, with nothing, with ATR of both kinds, with a register, and with both.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from experiments.registers.neurons import register_neurons
from experiments.registers.tower import with_register
from lhtclip.analysis.patches import image_files, window_batches
from lhtclip.analysis.tokens import token_statistics
from lhtclip.checkpoints.checkpoint import Checkpoint, load_checkpoint
from lhtclip.config import SegmenterConfig
from lhtclip.datasets import Dataset, open_dataset
from lhtclip.datasets.samples import choose_samples
from lhtclip.datasets.scenes import read_scenes
from lhtclip.evaluation.measure import measure
from lhtclip.evaluation.published_protocols import protocol_for
from lhtclip.image.files import find_images
from lhtclip.techniques.settings import OFF, LhtSettings


@dataclass(frozen=True, slots=True)
class Row:
    """What one way to treat abnormal tokens gave.

    Attributes:
        name: Its name.
        abnormal: The share of tokens entering the last block with a Hoyer score above τ.
        hoyer: Their mean score.
        mean_iou: In percent.
    """

    name: str
    abnormal: float
    hoyer: float
    mean_iou: float


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--method", default="sclip")
    parser.add_argument("--images", required=True, help="unlabelled images to find neurons on")
    parser.add_argument("--scenes", type=Path, help="to measure on; by default the bundled ones")
    parser.add_argument("--neurons", type=int, action="append", help="how many; may be repeated")
    parser.add_argument("--limit", type=int, help="use only the first scenes")
    options = parser.parse_args()
    checkpoint = load_checkpoint(options.model)
    scenes = read_scenes(options.scenes) if options.scenes else open_dataset("scenes")
    rows = compare(
        checkpoint,
        find_images(options.images),
        choose_samples(scenes, limit=options.limit),
        method=options.method,
        counts=options.neurons or [10, 50],
    )
    print("\n".join(table(rows)))


def compare(
    checkpoint: Checkpoint,
    images: Sequence[Path],
    scenes: Dataset,
    *,
    method: str,
    counts: Sequence[int],
) -> list[Row]:
    """Measure every row; `counts` are the numbers of neurons to try."""
    preset, vision = checkpoint.preset, checkpoint.model.vision
    ways = {"nothing": OFF, "ATR": LhtSettings(atr=preset.atr)}
    if preset.channels:
        ways["ATR by abnormal channels"] = LhtSettings(atr=preset.atr_by("channels"))
    rows = [_row(name, checkpoint, scenes, method, lht) for name, lht in ways.items()]
    ranked = register_neurons(vision, window_batches(images, checkpoint), count=max(counts))
    for count in counts:
        changed = replace(checkpoint, model=with_register(checkpoint.model, ranked[:count]))
        name = f"a register, {count} neurons"
        rows.append(_row(name, changed, scenes, method, OFF))
        rows.append(_row(f"{name}, and ATR", changed, scenes, method, ways["ATR"]))
    return rows


def _row(name: str, checkpoint: Checkpoint, scenes: Dataset, method: str, lht: LhtSettings) -> Row:
    windows = window_batches(image_files(scenes), checkpoint)
    threshold = checkpoint.preset.atr.threshold
    tokens = token_statistics(checkpoint.model.vision, windows, threshold=threshold).entering_last
    config = SegmenterConfig(
        model=checkpoint.name, method=method, lht=lht, residual=False, mlp=False
    )
    found = measure(config, scenes, protocol_for(scenes.name, "lht"), checkpoint=checkpoint)
    return Row(name, tokens.share, tokens.mean, 100 * found.confusion.mean_iou)


def table(rows: Sequence[Row]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = ["| | abnormal tokens | mean Hoyer score | mIoU |", "| --- | --- | --- | --- |"]
    return lines + [
        f"| {row.name} | {row.abnormal:.2%} | {row.hoyer:.3f} | {row.mean_iou:.2f} |"
        for row in rows
    ]


if __name__ == "__main__":
    main()
