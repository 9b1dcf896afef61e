"""`lhtclip convert`: label PNGs in any other format, without a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lhtclip.cli.console import Progress, print_path, say
from lhtclip.cli.options import FORMATS, QUIET, output_options, with_options
from lhtclip.errors import InputError
from lhtclip.formats import SINKS
from lhtclip.text.parsing import parse_classes
from lhtclip.text.vocabulary import read_classes_file


@click.command()
@click.argument("results", metavar="RESULTS")
@click.option(
    "--to",
    "formats",
    metavar="LIST",
    required=True,
    help=f"Comma-separated formats: {', '.join(SINKS)}.",
)
@click.option("--out", metavar="DIR", default="lhtclip-converted", help="Output folder.")
@click.option(
    "--images", metavar="DIR", help="Folder of the images, for formats that contain them."
)
@click.option(
    "--classes",
    metavar="NAMES",
    help="Class names in the order of the labels: 'a, b, c'.  [default: from the results]",
)
@click.option("--classes-file", metavar="FILE", help="File of class names, one per line.")
@click.option("--background", metavar="NAME", help="The class that is none of the others.")
@click.option(
    "--labels-from",
    "labels_from",
    type=click.Choice(["0", "1"]),
    default="0",
    help="Value of the first class in label files of other programs; with 1, value 0 is ignored.",
)
@click.option(
    "--overwrite", is_flag=True, help="Drop what was converted into the output folder before."
)
@with_options((QUIET,), FORMATS)
@click.pass_context
def command(
    context: click.Context,
    results: str,
    formats: str,
    out: str,
    images: str | None,
    classes: str | None,
    classes_file: str | None,
    background: str | None,
    labels_from: str,
    overwrite: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Convert the label PNGs in RESULTS to other formats. Prints the paths of the files written.

    RESULTS is an --out folder of `lhtclip segment`, or any folder of palette or greyscale PNGs
    whose values are class indices. Such files have no scores; all scores count as 1. Run an
    interrupted command again to continue: files that are done are skipped.

    Files that cannot be converted are listed at the end, and the exit code is 1; it is 2 if none
    can be.
    """
    if classes is not None and classes_file is not None:
        raise InputError("Give either --classes or --classes-file, not both.")
    names = None
    if classes is not None or classes_file is not None:
        entries = read_classes_file(Path(classes_file)) if classes_file else classes
        names = [name for name, _ in parse_classes(entries or "")]

    from lhtclip.batch.convert import convert_files  # imports torch, which is slow

    failures: list[InputError] = []
    with Progress("label files", quiet=quiet) as progress:
        written = convert_files(
            results,
            out,
            formats,
            names=names,
            background=background,
            first_index=int(labels_from),
            images=images,
            options=output_options(given),
            overwrite=overwrite,
            on_progress=progress,
            on_error=lambda _, error: failures.append(error),
        )
    if failures and not written:
        raise failures[0]
    for path in written:
        print_path(path)
    if failures:
        say(f"{len(failures)} label files could not be converted:")
        for error in failures:
            say(str(error))
        context.exit(1)
