"""`lhtclip segment`: its options; the work is in `lhtclip.batch`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lhtclip.batch.plan import check_folder, plan_jobs
from lhtclip.cli.options import (
    check_numbers,
    engine_options,
    machine_options,
    model_options,
    reading_options,
    vocabulary_of,
)
from lhtclip.formats import SINKS, open_sinks


@click.command()
@click.argument("images", metavar="IMAGE|FOLDER|GLOB...", nargs=-1, required=True)
@click.option(
    "--classes", metavar="WORDS", help="Words, '|' between synonyms: 'car, road, person|rider'."
)
@click.option(
    "--classes-file", metavar="FILE", help="The words in a file, one class a line, '|' as above."
)
@click.option(
    "--background",
    metavar="WORDS",
    help="Words for all that is none of the classes, such as 'wall|floor|sky'.",
)
@click.option(
    "--threshold",
    metavar="P",
    type=float,
    default=0.0,
    help="Pixels below this probability become background.",
)
@model_options
@click.option(
    "--templates",
    metavar="NAME|TEXT",
    default="imagenet80",
    help="imagenet80, photo, plain, or a sentence with {} in it.",
)
@click.option("--short-side", type=int, default=336, help="Pixels of the resized shorter side.")
@click.option("--window", type=int, default=224, help="Pixels of a window; 0 for the whole image.")
@click.option("--stride", type=int, default=112, help="Pixels between windows.")
@click.option(
    "--batch", type=int, default=None, help="Most windows at once.  [default: as suits the device]"
)
@click.option("--logit-scale", type=float, default=40.0, help="Factor before the softmax.")
@click.option("--pamr", is_flag=True, help="Refine along the edges of the image (PAMR).")
@reading_options
@click.option("--out", metavar="DIR", default="lhtclip-out", help="Where the results go.")
@click.option(
    "--format",
    "formats",
    metavar="LIST",
    default="labels,overlay",
    help=f"Out of {', '.join(SINKS)}.",
)
@click.option("--overwrite", is_flag=True, help="Redo what is done; drop other words' results.")
@machine_options
@engine_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document about the run.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
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
    as_json: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Label every pixel of images with the words given.

    Results go to the --out folder: <name>.png holds the class indices, with colours to look at;
    classes.json says what they mean. A run that was stopped goes on where it was: images are done
    whose results are there, made of the same bytes with the same words and settings. Prints the
    paths of the files written.

    Images that cannot be labelled are listed at the end, and the exit code is 1.
    """
    check_numbers(
        max_pixels=given["max_pixels"], logit_scale=given["logit_scale"], window=given["window"]
    )
    vocabulary = vocabulary_of(
        classes, classes_file, background=background, threshold=given["threshold"]
    )
    sinks, folder = open_sinks(formats, vocabulary), Path(out)
    check_folder(folder)
    jobs = plan_jobs(images, folder, sinks)

    from lhtclip.cli.load import config_of  # brings torch, which takes its time
    from lhtclip.cli.segment.run import segment_all

    code = segment_all(
        jobs,
        vocabulary,
        folder,
        sinks,
        config=config_of(given),
        overwrite=overwrite,
        as_json=as_json,
        quiet=quiet,
    )
    context.exit(code)
