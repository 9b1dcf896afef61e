"""Estimate the windows, time and memory of a map without making it."""

from __future__ import annotations

import time
from pathlib import Path

import torch

from lhtclip.maps.job import Job
from lhtclip.maps.settings import MapSettings
from lhtclip.maps.source import Source
from lhtclip.segmenter import Segmenter
from lhtclip.text.vocabulary import Vocabulary

_COPIES = 5  # copies of a row of windows that reading and resampling hold at once, float32


def describe(
    segmenter: Segmenter, raster: str | Path, vocabulary: Vocabulary, settings: MapSettings
) -> str:
    """Return the number of windows, with time and memory estimated from one batch."""
    source = Source(raster, settings)
    try:
        job = Job.of(source, segmenter)
    finally:
        source.close()
    plan = job.plan
    tower = segmenter.checkpoint.model.vision
    pixels = torch.zeros(
        job.batch, 3, plan.window_height, plan.window_width, device=tower.device, dtype=tower.dtype
    )
    with torch.inference_mode():
        segmenter.runner(pixels)
        started = time.perf_counter()
        segmenter.runner(pixels).cpu()
    seconds = (time.perf_counter() - started) / job.batch * job.windows
    return (
        f"{raster}: {job.height} x {job.width} labels, {job.windows} windows of "
        f"{plan.window_height} x {plan.window_width} pixels at scale {source.scale:.3g}; "
        f"values {source.low:g} to {source.high:g} become black to white; about "
        f"{_duration(seconds)} and {memory(job, vocabulary) >> 20} MB above the model."
    )


def memory(job: Job, vocabulary: Vocabulary) -> int:
    """Estimate the peak memory above the model, in bytes."""
    plan, prompts = job.plan, len(vocabulary.queries)
    width = plan.lefts[job.columns[-1]] + plan.window_width - plan.lefts[job.columns[0]]
    reading = _COPIES * plan.window_height * width * 3 * 4
    patches = len(job.columns) * job.across.grid * prompts * 4
    kept = 3 * job.down.grid * patches
    tall = 2 * plan.window_height * patches
    return reading + kept + tall + (job.source.settings.cache_mb << 20)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    minutes = round(seconds / 60)
    return f"{minutes} minutes" if minutes < 120 else f"{minutes / 60:.1f} hours"
