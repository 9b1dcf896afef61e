"""`lhtclip evaluate`: its options; the work is in `evaluation`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lhtclip.batch.plan import check_folder
from lhtclip.cli.options import (
    EvaluateOptions,
    engine_options,
    machine_options,
    model_options,
    switch,
)

_AS_PUBLISHED = "  [default: the protocol's]"


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option(
    "--root",
    metavar="DIR",
    help="Holds the data sets, or is one. `scenes` are taken from it where nothing else is named, "
    "else from the package.",
)
@model_options
@click.option(
    "--protocol",
    metavar="PUBLICATION",
    help="sclip, clearclip, naclip, resclip or lht.  [default: see above]",
)
@click.option("--templates", metavar="NAME|TEXT", help=f"As for `segment`.{_AS_PUBLISHED}")
@click.option("--short-side", type=int, help=f"Pixels of the resized shorter side.{_AS_PUBLISHED}")
@click.option("--window", type=int, help=f"Pixels; 0 for the whole image.{_AS_PUBLISHED}")
@click.option("--stride", type=int, help=f"Pixels between windows.{_AS_PUBLISHED}")
@click.option("--logit-scale", type=float, help=f"Factor before the softmax.{_AS_PUBLISHED}")
@click.option(
    "--threshold", type=float, help=f"Lowest probability of a foreground class.{_AS_PUBLISHED}"
)
@click.option("--area-threshold", type=float, help=f"Least share of the foreground.{_AS_PUBLISHED}")
@switch("pamr", f"Refine along the edges of the image (PAMR).{_AS_PUBLISHED}")
@click.option(
    "--batch", type=int, default=None, help="Most windows at once.  [default: as suits the device]"
)
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="Only the first N pictures.")
@click.option(
    "--seed", type=int, help="Put the pictures into a random order first, the same everywhere."
)
@click.option(
    "--workers",
    metavar="N",
    type=click.IntRange(min=1),
    default=2,
    help="Threads that read ahead and count behind.",
)
@click.option(
    "--trimap",
    metavar="R",
    type=click.IntRange(min=0),
    default=8,
    help="Pixels from a true boundary that count for the trimap mIoU; 0 for none.",
)
@switch("check", "Read 100 label maps first.  [default: on]", default=True)
@click.option("--predictions", is_flag=True, help="Write the labels of every picture.")
@click.option(
    "--gallery",
    metavar="K",
    type=click.IntRange(min=0),
    default=0,
    help="Draw the K worst pictures beside their truth.",
)
@click.option("--out", metavar="DIR", default="evaluation", help="Where the results go.")
@click.option("--overwrite", is_flag=True, help="Start over; drop what --out holds.")
@machine_options
@engine_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document about the run.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
def command(**given: Any) -> None:
    """Label whole data sets and count how the labels agree with the truth.

    NAME is a data set of `lhtclip datasets list`, such as voc21, ade20k, folder or scenes. Each is
    resized, cut, worded and thresholded as by a publication. By default that is LHT-CLIP where a
    technique acts, else the method's own, else SCLIP; ResCLIP's is always its own.

    Results go to the --out folder: <data set>.json, <data set>.confusion.npz and report.md. A run
    that was stopped, however hard, goes on where it was and ends with the same counts. Printed is a
    table of the results.
    """
    options = EvaluateOptions(**given)
    options.check_numbers()
    check_folder(Path(options.out))

    from lhtclip.cli.evaluate.run import evaluate_all  # brings torch, which takes its time

    evaluate_all(options)
