"""Read, label and write as one streaming plan of Ray Data, with bounded queues in between."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from lhtclip.checkpoints.known_models import BARE_WEIGHTS, BUNDLED, SHORT_NAMES
from lhtclip.config import SegmenterConfig
from lhtclip.errors import LhtClipError, OutputError
from lhtclip.ray.cluster import Workers
from lhtclip.ray.results import Outcome, Results
from lhtclip.ray.stages import LabelImages, read_images, row_of, write_results
from lhtclip.ray.units import Unit
from lhtclip.text.vocabulary import Vocabulary

_MOST_BLOCKS = 16_384  # tasks of a stage; fewer, larger ones would repeat more after a fault
_BLOCK = 32 << 20  # bytes; what one task hands on at a time
# Actors leave a little of their CPUs, in which tasks of the other stages can always start.
# Otherwise the actors of a machine that died could take the last CPUs of the others, and all wait.
_SPARED, _OF_A_TASK = 0.1, 0.04


def outcomes_of(
    ray: Any,
    units: Sequence[Unit],
    results: Results,
    *,
    config: SegmenterConfig,
    vocabulary: Vocabulary,
    workers: Workers,
) -> Iterator[Outcome]:
    """Label the images of all units; yields the outcome of each image, in no order.

    Ray Data starts tasks and actors again that died with their machine. What they repeat they write
    again, byte for byte.

    Raises:
        OutputError: Nothing more can be written.
    """
    data = ray.data
    context = data.DataContext.get_current()
    context.enable_progress_bars = False
    context.target_max_block_size = _BLOCK
    rows = data.from_items(
        [row_of(unit) for unit in units], override_num_blocks=min(len(units), _MOST_BLOCKS)
    )
    tasks = {"compute": data.TaskPoolStrategy(size=workers.free), "num_cpus": _OF_A_TASK}
    loaded = rows.flat_map(read_images, fn_kwargs={"results": results, "config": config}, **tasks)
    labelled = loaded.map(
        LabelImages,
        fn_constructor_args=(config, vocabulary, workers.cpus, results.maps),
        compute=data.ActorPoolStrategy(size=workers.count),
        num_cpus=workers.cpus - _SPARED,
        num_gpus=workers.gpus or None,
    )
    written = labelled.flat_map(write_results, fn_kwargs={"results": results}, **tasks)
    for row in written.iter_rows():
        if row["fatal"]:
            raise OutputError(row["fatal"])
        yield Outcome(row["image"], row["skipped"], row["reason"])


def settings_on_worker(
    ray: Any, config: SegmenterConfig, workers: Workers
) -> tuple[SegmenterConfig, dict[str, Any]]:
    """Load the model on a machine of the workers, and return what the configuration becomes there.

    Raises:
        LhtClipError: The model cannot be loaded there.
    """
    task = ray.remote(num_cpus=workers.cpus, num_gpus=workers.gpus, max_retries=1)(_settings)
    found = ray.get(task.remote(_anywhere(config)))
    if isinstance(found, Exception):
        raise found
    return found


def _anywhere(config: SegmenterConfig) -> SegmenterConfig:
    """Name local files so that workers find them, whatever their working directory is."""
    names = (BUNDLED, *SHORT_NAMES, *BARE_WEIGHTS)  # of models, even if a folder is called so
    model, graph = config.model, config.graph
    if model not in names and os.path.exists(model):
        model = os.path.abspath(model)
    return replace(config, model=model, graph=graph and os.path.abspath(graph))


def _settings(config: SegmenterConfig) -> tuple[SegmenterConfig, dict[str, Any]] | Exception:
    from lhtclip.segmenter import Segmenter

    try:
        resolved = config.resolved()
        return resolved, Segmenter.from_config(resolved).settings()
    except LhtClipError as error:
        return error
