"""`lhtclip evaluate`: its options; `run.py` does the work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lhtclip.batch.plan import check_folder
from lhtclip.cli.options import (
    EvaluateOptions,
    engine_options,
    gain_options,
    machine_options,
    model_options,
    shard_option,
    switch,
)

_AS_PUBLISHED = "  [default: the protocol's]"


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option(
    "--root",
    metavar="DIR",
    help="Folder of the data sets, or of a single one. `scenes` are read from it if nothing else "
    "is named, else the bundled ones are used.",
)
@model_options
@click.option(
    "--protocol",
    metavar="PUBLICATION",
    help="sclip, clearclip, naclip, naclip-pamr, resclip, scclip or lht.  [default: see above]",
)
@click.option("--templates", metavar="NAME|TEXT", help=f"As for `segment`.{_AS_PUBLISHED}")
@click.option(
    "--short-side", type=int, help=f"Shorter side after resizing, in pixels.{_AS_PUBLISHED}"
)
@click.option(
    "--window", type=int, help=f"Side of a window in pixels; 0 for the whole image.{_AS_PUBLISHED}"
)
@click.option("--resize", help=f"opencv or bilinear.{_AS_PUBLISHED}")
@click.option("--stride", type=int, help=f"Pixels from one window to the next.{_AS_PUBLISHED}")
@click.option(
    "--logit-scale", type=float, help=f"Factor on the logits before the softmax.{_AS_PUBLISHED}"
)
@click.option(
    "--threshold",
    type=float,
    help=f"Pixels with a lower probability become class 0.{_AS_PUBLISHED}",
)
@click.option(
    "--area-threshold",
    type=float,
    help=f"Drop classes with at most this share of the foreground.{_AS_PUBLISHED}",
)
@gain_options(published=True)
@click.option("--no-pamr", "refine", flag_value="none", help="The same as --refine none.")
@click.option(
    "--batch",
    type=int,
    default=None,
    help="Maximum number of windows at once.  [default: by device]",
)
@click.option(
    "--limit", metavar="N", type=click.IntRange(min=1), help="Use only the first N images."
)
@click.option("--seed", type=int, help="Shuffle the images first, the same way everywhere.")
@click.option(
    "--workers",
    metavar="N",
    type=click.IntRange(min=1),
    default=2,
    help="Threads for reading and counting.",
)
@click.option(
    "--trimap",
    metavar="N",
    type=click.IntRange(min=0),
    default=0,
    help="Also measure mIoU within N pixels of true boundaries.  [default: off]",
)
@switch("check", "First check 100 label maps.  [default: on]", default=True)
@click.option("--predictions", is_flag=True, help="Write the label map of every image.")
@click.option(
    "--gallery",
    metavar="K",
    type=click.IntRange(min=0),
    default=0,
    help="Draw the K worst images next to their ground truth.",
)
@click.option("--out", metavar="DIR", default="evaluation", help="Output folder.")
@click.option("--overwrite", is_flag=True, help="Start over, and replace the results in --out.")
@shard_option
@machine_options
@engine_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document about the run.")
@click.option("--quiet", is_flag=True, help="Print no progress.")
def command(**given: Any) -> None:
    """Label whole data sets and compare the labels with the ground truth.

    NAME is a data set of `lhtclip datasets list`, such as voc21, ade20k, folder or scenes.
    Resizing, windows, prompts and thresholds follow a published protocol: by default LHT-CLIP's if
    a technique is on, else the method's own, else SCLIP's. ResCLIP always has its own.

    Results are written to the --out folder: <data set>.json, <data set>.confusion.npz and
    report.md. Run an interrupted command again to continue; the counts are the same as without the
    interruption. Prints a table of the results.
    """
    options = EvaluateOptions(**given)
    options.check_numbers()
    check_folder(Path(options.out))

    from lhtclip.cli.evaluate.run import evaluate_all  # imports torch, which is slow

    evaluate_all(options)
