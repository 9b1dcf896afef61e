"""From images to patch embeddings: read, plan, and encode windows of one shape together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from lhtclip.errors import InputError, check_callback, check_kind, shown
from lhtclip.image.pixels import ImageSource, read_image
from lhtclip.segmenter.joint import encode_jointly
from lhtclip.segmenter.memory import check_encoding
from lhtclip.segmenter.parts import SegmenterParts
from lhtclip.segmenter.windows import PlannedImage, in_rows, joined, plan_scales, windows_of

Key = TypeVar("Key")
Item = TypeVar("Item")


def encode_items(
    parts: SegmenterParts,
    items: Iterable[tuple[Key, ImageSource]],
    on_error: Callable[[Key, InputError], None] | None,
) -> Iterator[tuple[Key, PlannedImage, Tensor]]:
    """Encode images in order; arguments as for `Segmenter.encode_items`.

    On a GPU the next batch is sent before the last image of a batch is handed out: it is encoded
    while somebody waits for that image's labels.

    Yields the key, the image with its windows, and their embeddings (window rows, window columns,
    grid rows, grid columns, E), once for each short side of the settings.

    Raises:
        InputError: An image cannot be read, and there is no `on_error`.
    """
    encoded = _in_batches(parts, items, on_error)
    on_cpu = parts.checkpoint.model.vision.device.type == "cpu"
    return encoded if on_cpu else one_ahead(encoded)


def one_ahead(items: Iterable[Item]) -> Iterator[Item]:
    """Yield each item when the next one exists; an error comes behind all items before it."""
    waiting: list[Item] = []
    try:
        for item in items:
            yield from waiting
            waiting = [item]
    except InputError:
        yield from waiting
        raise
    yield from waiting


def _in_batches(
    parts: SegmenterParts,
    items: Iterable[tuple[Key, ImageSource]],
    on_error: Callable[[Key, InputError], None] | None,
) -> Iterator[tuple[Key, PlannedImage, Tensor]]:
    waiting: list[tuple[Key, PlannedImage]] = []
    check_callback("on_error", on_error)
    check_kind("items", items, Iterable)
    for item in items:
        key, source = _pair(item)
        try:
            scales = _planned(parts, source)
        except InputError as error:
            if on_error is None:
                raise
            on_error(key, error)
            continue
        for planned in scales:
            if waiting and not _fits(planned, [each for _, each in waiting], parts.windows_at_once):
                yield from _encoded(parts, waiting)
                waiting = []
            waiting.append((key, planned))
    if waiting:
        yield from _encoded(parts, waiting)


def _pair(item: object) -> tuple[Any, ImageSource]:
    pair = cast("Sequence[Any]", item)
    if not isinstance(item, tuple | list) or len(pair) != 2:
        raise InputError(f"An item must be a pair (key, image), not {shown(item)}.")
    return pair[0], pair[1]


def _planned(parts: SegmenterParts, source: ImageSource) -> list[PlannedImage]:
    """Read an image and decide where its windows lie, at each scale."""
    image = read_image(source, max_pixels=parts.max_pixels, settings=parts.reading)
    config = parts.checkpoint.model.config
    scales = plan_scales(image, parts.windows, patch=config.vision.patch_size)
    check_encoding(
        scales,
        config.vision,
        width=config.projection_dim,
        at_once=parts.windows_at_once,
        streams=len(parts.encoder.reads) + 1 if parts.windows.joint else 0,
    )
    return scales


def _fits(planned: PlannedImage, waiting: list[PlannedImage], most: int) -> bool:
    """Whether an image can share a pass of at most `most` windows with those that wait."""
    windows = planned.plan.count + sum(each.plan.count for each in waiting)
    return planned.shape == waiting[0].shape and windows <= most


def _encoded(
    parts: SegmenterParts, waiting: list[tuple[Key, PlannedImage]]
) -> Iterator[tuple[Key, PlannedImage, Tensor]]:
    embeddings = _embed(parts, [planned for _, planned in waiting])
    for (key, planned), part in zip(waiting, embeddings, strict=True):
        yield key, planned, part


@torch.no_grad()  # not inference_mode: users train on embeddings
def _embed(parts: SegmenterParts, images: list[PlannedImage]) -> list[Tensor]:
    """Run the encoder on the windows of all images; one tensor for each image."""
    parts.enter_process()
    if parts.windows.joint:
        return [in_rows(encode_jointly(parts, each), each.plan) for each in images]
    cut = partial(windows_of, checkpoint=parts.checkpoint, most=parts.windows_at_once)
    if images[1:]:  # together they are no more than fit at once
        embeddings = parts.runner(torch.cat([part for each in images for part in cut(each)]))
    else:
        embeddings = joined(map(parts.runner, cut(images[0])), images[0].plan.count)
    split = embeddings.split([each.plan.count for each in images])
    return [in_rows(part, each.plan) for part, each in zip(split, images, strict=True)]
