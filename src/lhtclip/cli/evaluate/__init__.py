"""`lhtclip evaluate`: its options; `run.py` does the work."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from lhtclip.batch.chunks import Shard
from lhtclip.batch.plan import check_folder
from lhtclip.cli.gain_options import gain_options, short_side_option
from lhtclip.cli.options import (
    ENCODER,
    ENGINE,
    JSON,
    MACHINE,
    QUIET,
    RAY,
    SHARD,
    switch,
    with_options,
)
from lhtclip.errors import InputError

_AS_PUBLISHED = "  [default: the protocol's]"
_OF_THE_RUN = (
    *("limit", "seed", "workers", "trimap", "check", "predictions", "gallery", "overwrite"),
    *("as_json", "quiet"),
)


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option(
    "--root",
    metavar="DIR",
    help="Folder of the data sets, or of a single one. `scenes` are read from it if nothing else "
    "is named, else the bundled ones are used.",
)
@with_options(ENCODER)
@click.option(
    "--protocol",
    metavar="PUBLICATION",
    help="sclip, clearclip, naclip, naclip-pamr, resclip, scclip, pearl, rfclip or lht.  "
    "[default: see above]",
)
@click.option(
    "--background",
    metavar="CLASSES",
    help="Words for the background of data sets that have one; auto chooses them.  "
    "[default: the published ones]",
)
@click.option("--templates", metavar="NAME|TEXT", help=f"As for `segment`.{_AS_PUBLISHED}")
@with_options((short_side_option(default=None, note=_AS_PUBLISHED),))
@click.option(
    "--window",
    type=click.IntRange(min=0),
    help=f"Side of a window in pixels; 0 for the whole image.{_AS_PUBLISHED}",
)
@click.option("--resize", help=f"opencv or bilinear.{_AS_PUBLISHED}")
@click.option("--stride", type=int, help=f"Pixels from one window to the next.{_AS_PUBLISHED}")
@click.option(
    "--logit-scale",
    type=click.FloatRange(0, min_open=True),
    help=f"Factor on the logits before the softmax.{_AS_PUBLISHED}",
)
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    help=f"Pixels with a lower probability become class 0.{_AS_PUBLISHED}",
)
@click.option(
    "--area-threshold",
    type=click.FloatRange(0, 1),
    help=f"Drop classes with at most this share of the foreground.{_AS_PUBLISHED}",
)
@with_options(gain_options(published=True))
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
@with_options((SHARD,), RAY, MACHINE, ENGINE, (JSON, QUIET))
def command(**given: Any) -> None:
    """Label whole data sets and compare the labels with the ground truth.

    NAME is a data set of `lhtclip datasets list`, such as voc21, ade20k, folder or scenes.
    Resizing, windows, prompts and thresholds follow a published protocol: by default LHT-CLIP's if
    a technique is on, else the method's own, else SCLIP's. ResCLIP always has its own.

    Results are written to the --out folder: <data set>.json, <data set>.confusion.npz and
    report.md. Run an interrupted command again to continue; the counts are the same as without the
    interruption. Prints a table of the results.
    """
    out, shard = Path(given["out"]), _shard(given)
    check_folder(out)

    from lhtclip.cli.evaluate.run import RunOptions, evaluate_all  # imports torch, which is slow
    from lhtclip.cli.evaluate.tasks import plan_tasks

    if given["ray"] is not None:
        from lhtclip.cli.evaluate.on_ray import evaluate_on_ray

        root = given["root"] and os.path.abspath(given["root"])  # workers have folders of their own
        evaluate_on_ray(plan_tasks(given | {"root": root}), given)
        return
    run = RunOptions(out, shard=shard, **{name: given[name] for name in _OF_THE_RUN})
    evaluate_all(plan_tasks(given), run)


def _shard(given: dict[str, Any]) -> Shard | None:
    part = "--ray" if given["ray"] is not None else "--shard"
    if part == "--ray" and given["shard"]:
        raise InputError("--shard does not go with --ray, which makes shards of its own.")
    if (given["shard"] or part == "--ray") and (given["overwrite"] or given["gallery"]):
        name = "--overwrite" if given["overwrite"] else "--gallery"
        raise InputError(
            f"{name} does not go with {part}. Choose another folder (--out), or run the command "
            f"without {part} afterwards."
        )
    return Shard.parse(given["shard"]) if given["shard"] else None
