"""`lhtclip analyze`: its commands and their options; `run.py` does the work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lhtclip.batch.plan import check_folder
from lhtclip.cli.analyze.options import AnalyzeOptions
from lhtclip.cli.options import DEVICE, JSON, PRESET, QUIET, Options, switch, with_options

_BUNDLED_DATA, _BUNDLED_MODEL, _MODEL = "scenes", "bundled", "ViT-B-16"

_COMMON: Options = (
    click.argument("name", default=_BUNDLED_DATA),
    click.option("--root", metavar="DIR", help="The data set's folder, or its parent."),
    click.option(
        "--model",
        help=f"As for `segment`.  [default: {_BUNDLED_MODEL} for {_BUNDLED_DATA}, else {_MODEL}]",
    ),
    PRESET,
    click.option(
        "--limit", metavar="N", type=click.IntRange(min=1), help="Use only the first N images."
    ),
    click.option(
        "--seed",
        type=int,
        help="Shuffle the images first, the same way everywhere; also decides which patch pairs "
        "are compared.",
    ),
    click.option(
        "--batch",
        metavar="N",
        type=click.IntRange(min=1),
        default=16,
        help="Maximum number of windows at once.",
    ),
    *DEVICE,
    click.option("--out", metavar="DIR", default="analysis", help="Output folder."),
    switch("figures", "Draw figures.  [default: if matplotlib is installed]"),
    JSON,
    QUIET,
)
_COMPARE_PAPER = click.option(
    "--compare-paper", is_flag=True, help="Compare with the paper's measurements of this model."
)


def _options(given: dict[str, Any]) -> AnalyzeOptions:
    """Fill in defaults that depend on other options, and check what needs no model."""
    given = dict(given)
    given["model"] = given["model"] or (
        _BUNDLED_MODEL if given["name"] == _BUNDLED_DATA else _MODEL
    )
    options = AnalyzeOptions(**given)
    check_folder(Path(options.out))
    return options


@click.group(invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """Repeat the measurements behind the paper's findings, with any model and any labelled images.

    Images are resized so that their shorter side is the one that the model was trained with, and
    cut into adjacent squares. Results are written to the --out folder as CSV and JSON, and as PNG
    and SVG if matplotlib is installed (`pip install 'lhtclip[analysis]'`).
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@command.command(
    "layers", short_help="Measure how well each layer tells patches apart and names them."
)
@with_options(_COMMON)
@switch("ssr", "Also measure with SSR, in the preset's layers.  [default: on]", default=True)
@click.option("--templates", metavar="NAME|TEXT", help="As for `segment`.  [default: imagenet80]")
@_COMPARE_PAPER
def layers_command(**given: Any) -> None:
    """Measure every layer's visual discriminability and semantic alignment.

    Discriminability is the AUC with which the cosine similarity of two patches tells whether they
    show the same class; its 95 % interval is over images. Alignment is the share of patches whose
    nearest prompt belongs to their class, by the shortest way from the layer to the prompts. NAME
    is a data set of `lhtclip datasets list`.
    """
    options = _options(given)

    from lhtclip.cli.analyze.run import analyze_layers  # imports torch, which is slow

    analyze_layers(options)


@command.command("heads", short_help="Rank the heads by how well they tell patches apart.")
@with_options(_COMMON)
@switch(
    "atr", "First replace abnormal tokens inside each head's part.  [default: off]", default=False
)
@_COMPARE_PAPER
def heads_command(**given: Any) -> None:
    """Measure the visual discriminability of what every head adds to the patches.

    This is the AUC of `lhtclip analyze layers` for each head's part of the attention update. Prints
    the first 20 heads of the layers before the last, from which SHE's are chosen. NAME is a data
    set of `lhtclip datasets list`.
    """
    options = _options(given)

    from lhtclip.cli.analyze.run import analyze_heads

    analyze_heads(options)


@command.command("tokens", short_help="Count abnormal patch tokens and describe them.")
@with_options(_COMMON)
@click.option(
    "--threshold",
    metavar="T",
    type=click.FloatRange(0, 1),
    help="Hoyer score above which a token is abnormal.  [default: the preset's]",
)
def tokens_command(**given: Any) -> None:
    """Count abnormal patch tokens: sparsity, positions, similarity, attention, channels.

    Reads no labels. NAME is a data set of `lhtclip datasets list`.
    """
    options = _options(given)

    from lhtclip.cli.analyze.run import analyze_tokens

    analyze_tokens(options)
