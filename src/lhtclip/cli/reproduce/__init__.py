"""`lhtclip reproduce`: its options; `run.py` does the work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lhtclip.batch.plan import check_folder
from lhtclip.cli.options import DEVICE, PRESET, QUIET, with_options

TABLE_NAMES = ("table1", "atr", "ssr", "she", "combination", "stack", "efficiency")


@click.command()
@click.argument("tables", metavar="TABLE...", nargs=-1, required=True)
@click.option("--root", metavar="DIR", help="Folder with the paper's data sets.")
@click.option("--scenes", metavar="DIR", help="Folder of other scenes than the bundled ones.")
@click.option("--model", help="As for `segment`.  [default: ViT-B-16 with --root, else bundled]")
@PRESET
@click.option(
    "--limit", metavar="N", type=click.IntRange(min=1), help="Use only the first N images."
)
@click.option(
    "--out", metavar="DIR", default="reproduced", help="Output folder for counts and tables."
)
@with_options(DEVICE)
@click.option(
    "--random-weights",
    is_flag=True,
    help="For efficiency only: a ViT-B/16 with random weights; the arithmetic does not depend on "
    "them.",
)
@QUIET
def command(tables: tuple[str, ...], **given: Any) -> None:
    """Measure the rows of the paper's tables and print them next to the published numbers.

    TABLE is table1, atr, ssr, she, combination, efficiency, or all. `stack` is not in the paper: it
    adds further gains to LHT-CLIP, one by one and together. With --root, rows are measured on the
    paper's data sets that are found there; without it, on rendered scenes. Missing data sets are
    listed. Run an interrupted command again to continue.

    Prints the tables as Markdown, and writes them to --out as Markdown and JSON.
    """
    from lhtclip.errors import unknown

    names = TABLE_NAMES if "all" in tables else tuple(dict.fromkeys(tables))
    for name in names:
        if name not in TABLE_NAMES:
            raise unknown("table", name, (*TABLE_NAMES, "all"))
    check_folder(Path(given["out"]))

    from lhtclip.cli.reproduce.run import reproduce  # imports torch, which is slow

    reproduce(names, **given)
