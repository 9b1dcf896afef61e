"""`lhtclip segment`: its options; the work is in `plan`, `record` and `folder`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lhtclip.batch.plan import FORMATS, check_folder, parse_formats, plan_jobs
from lhtclip.cli.options import (
    SegmentOptions,
    engine_options,
    machine_options,
    model_options,
    reading_options,
)


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
    help=f"Out of {', '.join(FORMATS)}.",
)
@click.option("--overwrite", is_flag=True, help="Redo what is done; drop other words' results.")
@machine_options
@engine_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document about the run.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
@click.pass_context
def command(context: click.Context, **given: Any) -> None:
    """Label every pixel of images with the words given.

    Results go to the --out folder: <name>.png holds the class indices, with colours to look at;
    classes.json says what they mean. A run that was stopped goes on where it was. Printed are the
    files written.

    Images that cannot be read are listed at the end, and the exit code is 1.
    """
    options = SegmentOptions(**given)
    options.check_numbers()
    vocabulary = options.vocabulary()
    formats = parse_formats(options.formats)
    out = Path(options.out)
    check_folder(out)
    jobs = plan_jobs(options.images, out, formats=formats, names=vocabulary.names)

    from lhtclip.cli.folder import segment_all  # brings torch, which takes its time

    context.exit(segment_all(options, vocabulary, jobs))
