"""What an image will take in memory, held against a limit before anything is allocated."""

from __future__ import annotations

from collections.abc import Sequence

from lhtclip.clip.config import VisionConfig
from lhtclip.files.memory import check_memory
from lhtclip.segmenter.windows import PlannedImage

_FLOAT = 4  # bytes
# Bytes a pixel of the original: levels, winners, scores, labels, an overlay on the way.
_PER_PIXEL = 45
_PER_STRIP_PIXEL = 60  # levels, embeddings, logits, winners, scores, labels, in flight
_PER_RESIZED_PIXEL = 3 * _FLOAT * 3
_JOINT_TENSORS = 12  # queries, keys, values and what attention makes of them, in all windows


def check_encoding(
    scales: Sequence[PlannedImage],
    config: VisionConfig,
    *,
    width: int,
    at_once: int,
    streams: int = 0,
) -> None:
    """Refuse an image whose windows would take more than the limit.

    Args:
        scales: The image and its windows, at each scale.
        config: Of the image tower.
        width: Of an embedding.
        at_once: Most windows in one pass.
        streams: Residual streams that all windows keep to enter the last block together; 0 if each
            enters it alone.

    Raises:
        InputError: With the figure and what lowers it.
    """
    height, wide = scales[0].image.shape[:2]
    count = sum(each.plan.count for each in scales)
    kept = sum(each.plan.count * _patches(each, config) for each in scales)
    needed = height * wide * _PER_PIXEL + kept * width * _FLOAT
    needed += max(
        _passing(each, config, at_once=at_once) + _waiting(each, config, streams=streams)
        for each in scales
    )
    check_memory(
        needed,
        f"an image of {height} x {wide} pixels in {count} windows of {_patches(scales[0], config)} "
        "patches",
        "Use a longer --stride, a smaller --short-side, --window or --batch, "
        + ("--no-joint-windows, " if streams else "")
        + "or a smaller image",
    )


def _passing(planned: PlannedImage, config: VisionConfig, *, at_once: int) -> int:
    """Return the bytes of the resized image and of the windows on their way through the tower."""
    plan, tokens = planned.plan, _patches(planned, config) + 1
    window = tokens * (config.hidden_size * 8 + config.intermediate_size * 2)
    window += 2 * config.num_attention_heads * tokens * tokens
    return (
        plan.height * plan.width * _PER_RESIZED_PIXEL + min(at_once, plan.count) * window * _FLOAT
    )


def _waiting(planned: PlannedImage, config: VisionConfig, *, streams: int) -> int:
    """Return the bytes of windows that enter the last block together: streams, heads, MLP."""
    tokens = planned.plan.count * (_patches(planned, config) + 1)
    width = config.hidden_size * (streams + _JOINT_TENSORS) + config.intermediate_size * 2
    return tokens * width * _FLOAT if streams else 0


def check_logits(scales: Sequence[PlannedImage], config: VisionConfig, *, prompts: int) -> None:
    """Refuse a number of prompts whose logits would take more than the limit.

    Raises:
        InputError: With the figure and what lowers it.
    """
    patches = sum(each.plan.count * _patches(each, config) for each in scales)
    check_memory(
        3 * patches * prompts * _FLOAT,
        f"{prompts} prompts at {patches} patches",
        "Use fewer classes, or a longer --stride",
    )


def check_strip(width: int, height: int) -> None:
    """Refuse a raster whose strips would take more than the limit.

    Args:
        width: Of the raster as the windows see it, pixels.
        height: Of a row of windows.

    Raises:
        InputError: With the figure and what lowers it.
    """
    check_memory(
        width * height * _PER_STRIP_PIXEL,
        f"a strip of {height} x {width} pixels",
        "Use a smaller --scale or --window, a larger --gsd, or cut the raster",
    )


def _patches(planned: PlannedImage, config: VisionConfig) -> int:
    height, width = planned.shape
    return (height // config.patch_size) * (width // config.patch_size)
