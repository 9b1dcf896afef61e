"""`lhtclip reproduce`: its options; the work is in `tables`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lhtclip.batch.plan import check_folder

TABLE_NAMES = ("table1", "atr", "ssr", "she", "combination", "efficiency")


@click.command()
@click.argument("tables", metavar="TABLE...", nargs=-1, required=True)
@click.option("--root", metavar="DIR", help="Holds the data sets of the paper.")
@click.option("--scenes", metavar="DIR", help="Other scenes than those of the package.")
@click.option("--model", help="As for `segment`.  [default: ViT-B-16 with --root, else bundled]")
@click.option("--preset", metavar="FILE", help="Settings of the techniques, as JSON.")
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="Only the first N pictures.")
@click.option("--out", metavar="DIR", default="reproduced", help="Where counts and tables go.")
@click.option("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps.")
@click.option("--dtype", default="auto", help="auto, float32, bfloat16 or float16.")
@click.option(
    "--random-weights",
    is_flag=True,
    help="Efficiency alone: a ViT-B/16 with random weights, since arithmetic does not depend on "
    "them.",
)
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
def command(tables: tuple[str, ...], **given: Any) -> None:
    """Measure the rows of the paper's tables and print them beside what was published.

    TABLE is table1, atr, ssr, she, combination, efficiency, or all. With --root, rows are measured
    on those of the paper's data sets that are found there, without it on rendered scenes. What is
    not there is listed as missing. A run that was stopped goes on where it was.

    Printed are the tables as Markdown; --out holds them, too, as Markdown and JSON.
    """
    from lhtclip.errors import unknown

    names = TABLE_NAMES if "all" in tables else tuple(dict.fromkeys(tables))
    for name in names:
        if name not in TABLE_NAMES:
            raise unknown("table", name, (*TABLE_NAMES, "all"))
    check_folder(Path(given["out"]))

    from lhtclip.cli.reproduce.run import reproduce  # brings torch, which takes its time

    reproduce(names, **given)
