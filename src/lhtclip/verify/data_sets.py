"""The mIoU of a published evaluation, measured again by the same protocol."""

from __future__ import annotations

from pathlib import Path

from lhtclip.checkpoints.checkpoint import Checkpoint
from lhtclip.checkpoints.device import dtype_name
from lhtclip.config import SegmenterConfig
from lhtclip.datasets import open_dataset
from lhtclip.evaluation.published_protocols import protocol_for
from lhtclip.evaluation.runner import evaluate
from lhtclip.segmenter import Segmenter


def mean_iou(
    checkpoint: Checkpoint, root: Path, out: Path, *, dataset: str, method: str, publication: str
) -> float:
    """Return the mIoU in percent.

    Args:
        checkpoint: The model.
        root: Folder of the data set, or its parent.
        out: Folder of the counts, from which an interrupted run goes on.
        dataset: Name of the data set.
        method: Name of the method, without LHT.
        publication: Whose protocol.

    Raises:
        InputError: The data set is not there, or cannot be used.
    """
    data, protocol = open_dataset(dataset, root), protocol_for(dataset, publication)
    vision = checkpoint.model.vision
    config = protocol.configure(
        SegmenterConfig(
            model=checkpoint.name,
            method=method,
            lht=False,
            device=str(vision.device),
            dtype=dtype_name(vision.dtype),
        )
    )
    segmenter = Segmenter.from_config(config, checkpoint=checkpoint)
    found = evaluate(segmenter, data, protocol.vocabulary(data), folder=out)
    return 100 * found.confusion.mean_iou
