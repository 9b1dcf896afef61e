"""Labels image files into a folder: one resumable call, for programs and the command line."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path

from lhtclip.batch.chunks import Shard, chunks_of
from lhtclip.batch.folder import folders_of, forget_shards, joined, locked, sweep
from lhtclip.batch.plan import Job, check_case, check_folder, plan_jobs
from lhtclip.batch.record import describe
from lhtclip.batch.run import Progress, Run, Workers
from lhtclip.batch.shards import Plan, ShardState, write_state
from lhtclip.batch.summary import LabelledImage, RunSummary
from lhtclip.config import SegmenterConfig
from lhtclip.errors import InputError, check_callback, check_kind
from lhtclip.files.paths import as_path
from lhtclip.formats import open_sinks
from lhtclip.formats.sink import OutputOptions, Sink
from lhtclip.segmenter import Segmenter
from lhtclip.text.parsing import Classes
from lhtclip.text.vocabulary import Vocabulary


def label_files(
    images: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    classes: Classes | Vocabulary,
    out: str | os.PathLike[str],
    *,
    config: SegmenterConfig | None = None,
    segmenter: Segmenter | None = None,
    background: str | Sequence[str] | None = None,
    formats: str | Sequence[str] = ("labels",),
    options: OutputOptions | None = None,
    overwrite: bool = False,
    shard: Shard | None = None,
    on_image: Callable[[LabelledImage], None] | None = None,
    on_progress: Progress | None = None,
) -> RunSummary:
    """Label image files into a folder; call it again to continue an interrupted run.

    Images whose results exist, made from the same bytes with the same classes and settings, are
    skipped. An image that cannot be read or written does not stop the run; the summary lists it.

    Args:
        images: Files, folders with all their subfolders, and globs.
        classes: As for `Segmenter.segment`.
        out: Folder of the results; its `classes.json` says what the labels mean.
        config: The segmenter to load, once an image needs it.
        segmenter: Instead of `config`, a segmenter that is already loaded.
        background: Prompts for what is none of the classes; see `Segmenter.segment`.
        formats: Names in `lhtclip.formats.SINKS`.
        options: Choices about the files.
        overwrite: Label all images again, and replace results of other classes or settings.
        shard: Label only this share of the images; `merge_shards` ends the run.
        on_image: Called for each image, once its files are written or it has failed.
        on_progress: Called now and then with "prompts" or "images", the number done, and the
            total; for images, the first call has the number done in earlier runs.

    Raises:
        LhtClipError: Images, classes, settings, model or output folder cannot be used.
    """
    check_kind("segmenter", segmenter, Segmenter, type(None))
    check_kind("config", config, SegmenterConfig, type(None))
    if segmenter is not None and config is not None:
        raise InputError("Give either a config or a segmenter, not both.")
    config = segmenter.config if segmenter else config or SegmenterConfig()
    vocabulary = Vocabulary.of(classes, background=background, threshold=config.decoding.threshold)
    check_kind("overwrite", overwrite, bool)
    check_kind("shard", shard, Shard, type(None))
    check_callback("on_image", on_image)
    check_callback("on_progress", on_progress)
    folder = as_path("out", out)
    check_folder(folder)
    sinks = open_sinks(formats, vocabulary, options)
    return label_jobs(
        plan_jobs(images, folder, sinks),
        vocabulary,
        folder,
        sinks,
        config=config,
        segmenter=segmenter,
        overwrite=overwrite,
        shard=shard,
        on_image=on_image,
        on_progress=on_progress,
    )


def label_jobs(
    jobs: Sequence[Job],
    vocabulary: Vocabulary,
    out: Path,
    sinks: Mapping[str, Sink],
    *,
    config: SegmenterConfig,
    segmenter: Segmenter | None = None,
    overwrite: bool = False,
    shard: Shard | None = None,
    on_image: Callable[[LabelledImage], None] | None = None,
    on_progress: Progress | None = None,
) -> RunSummary:
    """Label images that are already planned; other arguments as for `label_files`.

    Raises:
        LhtClipError: Settings, model or output folder cannot be used.
    """
    if shard and overwrite:
        raise InputError(
            "A shard cannot drop what other shards have done (--overwrite): choose another output "
            "folder (--out), or remove this one."
        )
    record = describe(vocabulary, config.resolved().to_json(), sinks)
    chunks = chunks_of(jobs)
    with Workers() as workers:
        run = Run(
            shard.of(chunks) if shard else chunks,
            vocabulary,
            out,
            sinks,
            record=record,
            overwrite=overwrite,
            workers=workers,
            on_image=on_image,
            on_progress=on_progress,
        )
        run.check()
        run.find_done()
        images = iter(run.read(config))
        first = next(images, None)

        def label() -> None:
            if first is None:
                run.drop_outdated()
            else:  # a model is needed only now
                run.prepare(segmenter or Segmenter.from_config(config))
                run.label(chain([first], images))

        if shard:
            plan = Plan.of(jobs, vocabulary, sinks)
            with joined(out, shard, plan, jobs):
                check_case(jobs, out)
                run.check()
                write_state(out, ShardState(shard, plan.digest))
                label()
                write_state(out, ShardState(shard, plan.digest, True, run.failed))
        elif first is not None or run.can_assemble or run.has_outdated:
            with locked(out):
                check_case(jobs, out)
                sweep(out, folders_of(out, jobs))
                run.check()
                forget_shards(out)
                label()
                run.assemble()
    return run.summary()
