"""`lhtclip calibrate`: its options; the work is in `calibration`."""

from __future__ import annotations

from typing import Any

import click

from lhtclip.cli.calibrate.options import CalibrateOptions
from lhtclip.cli.options import machine_options


@click.command()
@click.option(
    "--model",
    default="ViT-B-16",
    help="Short name (`lhtclip models`), id on the hub, or folder.",
)
@click.option(
    "--data", metavar="NAME", help="Labelled pictures (`lhtclip datasets list`), such as folder."
)
@click.option("--root", metavar="DIR", help="Holds the data set, or is it.")
@click.option("--limit", metavar="N", type=click.IntRange(min=2), help="Only N of the pictures.")
@click.option("--seed", type=int, default=0, help="Decides which, and which of them rank heads.")
@click.option(
    "--images-for-heads",
    metavar="N",
    type=click.IntRange(min=1),
    help="Pictures that rank heads; settings are searched on the others.  [default: half]",
)
@click.option("--method", default="sclip", help="Rule of the last block (`lhtclip methods`).")
@click.option("--no-labels", is_flag=True, help="Rank heads by --images, which nobody labelled.")
@click.option("--images", metavar="DIR", help="Pictures for --no-labels: a folder or a glob.")
@click.option(
    "--ranking",
    metavar="NAME",
    help="What ranks heads without labels.  [default: consensus]",
)
@click.option("--out", metavar="FILE", default="lht.json", help="The preset.")
@click.option(
    "--work", metavar="DIR", help="Keeps the counts so far.  [default: beside --out, .calibration]"
)
@click.option("--overwrite", is_flag=True, help="Replace --out; drop the counts in --work.")
@machine_options
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
def command(**given: Any) -> None:
    """Make a preset for a model: which heads, layers and settings of LHT-CLIP suit it.

    Some of the pictures rank the heads by visual discriminability and show the layers that lose it.
    On the others settings are searched by mIoU, one after the other; they are counted by the
    published protocol. Give pictures that you will never test on: a model is not to be judged on
    those that its settings were chosen on.

    With --no-labels, heads are ranked by what unlabelled pictures themselves say. Nothing is
    searched then: layers go by depth, and the rest is fixed.

    The preset goes to --out, with how it was made; every command takes it with --preset, and as
    lht.json in the folder of a checkpoint it is taken unasked. A run that was stopped goes on where
    it was. Printed is a table of the search, without labels one of the heads.
    """
    options = CalibrateOptions(**given)
    options.check()

    from lhtclip.cli.calibrate import run  # brings torch, which takes its time

    if options.no_labels:
        run.calibrate_without_labels(options)
    else:
        run.calibrate(options)
