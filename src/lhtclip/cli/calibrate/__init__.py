"""`lhtclip calibrate`: its options; `run.py` does the work."""

from __future__ import annotations

from typing import Any

import click

from lhtclip.cli.calibrate.options import CalibrateOptions
from lhtclip.cli.options import MACHINE, METHOD, MODEL, QUIET, with_options


@click.command()
@MODEL
@click.option(
    "--data", metavar="NAME", help="Data set of labelled images (`lhtclip datasets list`)."
)
@click.option("--root", metavar="DIR", help="The data set's folder, or its parent.")
@click.option("--limit", metavar="N", type=click.IntRange(min=2), help="Use only N of the images.")
@click.option(
    "--seed",
    type=int,
    default=0,
    help="Decides which images are used, and which of them rank heads.",
)
@click.option(
    "--images-for-heads",
    metavar="N",
    type=click.IntRange(min=1),
    help="Images that rank heads; the others are for the search.  [default: half]",
)
@METHOD
@click.option("--no-labels", is_flag=True, help="Rank heads on the unlabelled --images.")
@click.option("--images", metavar="DIR", help="Images for --no-labels: a folder or a glob.")
@click.option(
    "--ranking",
    metavar="NAME",
    help="How to rank heads without labels.  [default: consensus]",
)
@click.option(
    "--stack",
    is_flag=True,
    help="Also search for gains without training that help together, such as --refine pamr.",
)
@click.option("--out", metavar="FILE", default="lht.json", help="Output file.")
@click.option(
    "--work", metavar="DIR", help="Folder for the counts.  [default: next to --out, .calibration]"
)
@click.option("--overwrite", is_flag=True, help="Replace --out, and start over.")
@with_options(MACHINE, (QUIET,))
def command(**given: Any) -> None:
    """Find the heads, layers and settings of LHT-CLIP that suit a model, and write a preset.

    Some of the images rank the heads by visual discriminability and show which layers lose it. The
    others are used to search the settings one by one, by mIoU under the published protocol. Use
    images that you will never test on: the settings are chosen by their score on these images.

    With --no-labels, heads are ranked on unlabelled images, without a search: layers follow from
    the depth, and the other settings are fixed.

    With --stack, the gains of `lhtclip reproduce stack` are then measured on the images of the
    search, each alone and the helpful ones together. The preset records the result, and the options
    that switch them on are printed; nothing switches them on by itself.

    The preset records how it was made. Use it with --preset, or put it into the checkpoint's folder
    as lht.json. Run an interrupted command again to continue. Prints a table of the search; without
    labels, of the heads.
    """
    options = CalibrateOptions(**given)
    options.check()

    from lhtclip.cli.calibrate import run  # imports torch, which is slow

    if options.no_labels:
        run.calibrate_without_labels(options)
    else:
        run.calibrate(options)
