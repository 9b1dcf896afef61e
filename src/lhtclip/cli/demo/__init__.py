"""`lhtclip demo`: the bundled scenes by three methods, as scores and as images."""

from __future__ import annotations

from pathlib import Path

import click

from lhtclip.batch.plan import check_folder
from lhtclip.cli.options import DEVICE, QUIET, with_options


@click.command()
@click.option("--out", metavar="DIR", default="demo", help="Output folder.")
@click.option("--model", default="bundled", help="As for `lhtclip segment`.")
@click.option(
    "--scenes", metavar="DIR", help="Folder of other scenes.  [default: the bundled ones]"
)
@click.option(
    "--limit", metavar="N", type=click.IntRange(min=1), help="Use only the first N scenes."
)
@with_options(DEVICE, (QUIET,))
def command(
    *,
    out: str,
    model: str,
    scenes: str | None,
    limit: int | None,
    device: str,
    dtype: str,
    quiet: bool,
) -> None:
    """Segment scenes with known ground truth by CLIP, SCLIP, and SCLIP with LHT-CLIP.

    SCLIP is used without the last block's residual connection and MLP, as in the paper. Prints the
    mean IoU in percent over all classes of the scenes, and the paths of the images written: for
    each scene the result of LHT-CLIP (.overlay.png) and all methods side by side (.compare.png),
    and all scenes on one sheet (contact-sheet.png).
    """
    from lhtclip.datasets import open_dataset
    from lhtclip.datasets.samples import choose_samples

    check_folder(Path(out))
    chosen = choose_samples(open_dataset("scenes", scenes), limit=limit)

    from lhtclip.cli.demo.run import compare_methods

    compare_methods(chosen, Path(out), model=model, device=device, dtype=dtype, quiet=quiet)
