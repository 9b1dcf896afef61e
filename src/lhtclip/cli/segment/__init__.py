"""`lhtclip segment`: its options; `lhtclip.batch` does the work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lhtclip.batch.chunks import Shard
from lhtclip.batch.plan import check_folder, plan_jobs
from lhtclip.cli.gain_options import RESIZE, gain_options, short_side_option
from lhtclip.cli.options import (
    ENCODER,
    ENGINE,
    FORMATS,
    JSON,
    MACHINE,
    QUIET,
    RAY,
    READING,
    SHARD,
    VOCABULARY,
    output_options,
    vocabulary_of,
    with_options,
)
from lhtclip.errors import InputError
from lhtclip.formats import SINKS, open_sinks


@click.command()
@click.argument("images", metavar="IMAGE|FOLDER|GLOB...", nargs=-1, required=True)
@with_options(VOCABULARY, ENCODER)
@click.option(
    "--templates",
    metavar="NAME|TEXT",
    default="imagenet80",
    help="imagenet80, photo, plain, or a sentence with {}.",
)
@with_options((RESIZE, short_side_option(default=336)))
@click.option(
    "--window",
    type=click.IntRange(min=0),
    default=224,
    help="Side of a sliding window in pixels; 0 for the whole image.",
)
@click.option("--stride", type=int, default=112, help="Pixels from one window to the next.")
@click.option(
    "--batch",
    type=int,
    default=None,
    help="Maximum number of windows at once.  [default: by device]",
)
@click.option(
    "--logit-scale",
    type=click.FloatRange(0, min_open=True),
    default=40.0,
    help="Factor on the logits before the softmax.",
)
@with_options(gain_options(published=False), READING)
@click.option("--out", metavar="DIR", default="lhtclip-out", help="Output folder.")
@click.option(
    "--format",
    "formats",
    metavar="LIST",
    default="labels,overlay",
    help=f"Comma-separated formats: {', '.join(SINKS)}.",
)
@click.option(
    "--overwrite",
    is_flag=True,
    help="Label all images again, and replace results of other classes.",
)
@with_options((SHARD,), RAY)
@click.option(
    "--table", is_flag=True, help="With --ray: write a Parquet dataset into --out, not files."
)
@with_options(FORMATS, MACHINE, ENGINE, (JSON, QUIET))
@click.pass_context
def command(
    context: click.Context,
    *,
    images: tuple[str, ...],
    classes: str | None,
    classes_file: str | None,
    background: str | None,
    out: str,
    formats: str,
    overwrite: bool,
    shard: str | None,
    ray: str | None,
    table: bool,
    as_json: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Label every pixel of images with your classes.

    Results are written to the --out folder: <name>.png has the class indices as pixel values and a
    palette of colours; classes.json says what they mean. Run an interrupted command again to
    continue: images with unchanged results and settings are skipped. Prints the paths of the files
    written.

    Images that cannot be labelled are listed at the end, and the exit code is 1.
    """
    vocabulary = vocabulary_of(
        classes,
        classes_file,
        background=background,
        threshold=given["threshold"],
        aliases=given["aliases"],
    )
    sinks, folder = open_sinks(formats, vocabulary, output_options(given)), Path(out)
    part = Shard.parse(shard) if shard else None
    workers = {name: given.pop(name) for name in ("ray_workers", "ray_cpus", "ray_gpus")}
    if ray is not None:
        _check_ray(overwrite=overwrite, shard=shard)
        from lhtclip.cli.segment.on_ray import segment_on_ray  # imports torch, which is slow

        code = segment_on_ray(
            images,
            vocabulary,
            out,
            sinks,
            given=given,
            address=ray,
            workers=workers,
            table=table,
            as_json=as_json,
            quiet=quiet,
        )
        context.exit(code)
    if table:
        raise InputError("--table goes with --ray only: add it, or use --format parquet.")
    if bucket := next((each for each in (*images, out) if "://" in each), None):
        raise InputError(f"{bucket} is in a bucket: only --ray reads and writes those, so add it.")
    check_folder(folder)
    jobs = plan_jobs(images, folder, sinks)

    from lhtclip.cli.load import config_of  # imports torch, which is slow
    from lhtclip.cli.segment.run import segment_all

    code = segment_all(
        jobs,
        vocabulary,
        folder,
        sinks,
        config=config_of(given),
        overwrite=overwrite,
        shard=part,
        as_json=as_json,
        quiet=quiet,
    )
    context.exit(code)


def _check_ray(*, overwrite: bool, shard: str | None) -> None:
    for name, value in (("--overwrite", overwrite), ("--shard", shard)):
        if value:
            raise InputError(f"{name} does not go with --ray: choose another folder (--out).")
