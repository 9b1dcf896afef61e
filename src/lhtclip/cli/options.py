"""The options that several commands share, and what they mean together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from lhtclip.errors import InputError
from lhtclip.formats.sink import OutputOptions
from lhtclip.image.opening import MAX_PIXELS
from lhtclip.techniques import ATR_JUDGES, TECHNIQUES
from lhtclip.text.aliases import with_aliases
from lhtclip.text.vocabulary import Vocabulary, read_classes_file

Command = TypeVar("Command", bound=Callable[..., Any])
Options = tuple[Callable[[Any], Any], ...]


def with_options(*groups: Options) -> Callable[[Command], Command]:
    """Add groups of options to a command, in this order."""

    def add(command: Command) -> Command:
        for option in reversed([option for group in groups for option in group]):
            command = option(command)
        return command

    return add


def switch(name: str, text: str, *, default: bool | None = None) -> Any:
    """Make the option --name/--no-name."""
    return click.option(f"--{name}/--no-{name}", default=default, show_default=False, help=text)


MODEL = click.option(
    "--model", default="ViT-B-16", help="Short name (`lhtclip models`), hub id, or local folder."
)
METHOD = click.option(
    "--method", default="sclip", help="Method for the last block (`lhtclip methods`)."
)
PRESET = click.option("--preset", metavar="FILE", help="Settings of the techniques (JSON).")
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
SHARD = click.option(
    "--shard",
    metavar="I/N",
    help="Do only part I of N, from 1/N to N/N; `lhtclip merge` joins the parts.",
)
QUIET = click.option("--quiet", is_flag=True, help="Print no progress.")

# The classes to look for; `vocabulary_of` reads them.
VOCABULARY: Options = (
    click.option(
        "--classes",
        metavar="CLASSES",
        help="Classes, with '|' between the prompts of one: 'car, road, person|rider'.",
    ),
    click.option(
        "--classes-file", metavar="FILE", help="File of classes, one per line, with '|' as above."
    ),
    click.option(
        "--background",
        metavar="CLASSES",
        help="Prompts for everything that is none of the classes, such as 'wall|floor|sky'; auto "
        "chooses them.",
    ),
    click.option(
        "--threshold",
        metavar="P",
        type=click.FloatRange(0, 1),
        default=0.0,
        help="Pixels with a lower probability become background.",
    ),
)
# Model, method and techniques.
ENCODER: Options = (
    MODEL,
    METHOD,
    click.option(
        "--setting",
        "method_settings",
        metavar="NAME=VALUE",
        multiple=True,
        help="A setting of the method, such as alpha=0.3; repeatable. `lhtclip methods --json` "
        "lists them.",
    ),
    switch("lht", "LHT-CLIP's three techniques.  [default: on]", default=True),
    *(switch(name, f"{title}.  [default: as --lht]") for name, title in TECHNIQUES.items()),
    click.option(
        "--atr-by",
        type=click.Choice(ATR_JUDGES),
        help="Switch ATR on, and find abnormal tokens by Hoyer's score or by abnormal channels.",
    ),
    switch("residual", "The last block's residual connection.  [default: as published]"),
    switch("mlp", "The last block's MLP.  [default: as published]"),
    PRESET,
)
DEVICE: Options = (
    click.option("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps."),
    click.option("--dtype", default="auto", help="auto, float32, bfloat16 or float16."),
)
# Device, precision and limits.
MACHINE: Options = (
    *DEVICE,
    click.option(
        "--max-pixels",
        type=click.IntRange(min=1),
        default=MAX_PIXELS,
        help="Refuse larger images.",
    ),
)
# How values of images become RGB levels.
READING: Options = (
    click.option(
        "--range",
        metavar="LOW,HIGH",
        help="Values to map to black and white: 0,3000, or percentiles of each band: 2%,98%.",
    ),
    click.option(
        "--bands",
        metavar="LIST",
        help="Bands to use as red, green and blue, counted from 1: 4,3,2.",
    ),
    click.option(
        "--alpha", default="white", help="Put transparent pixels on white, or ignore transparency."
    ),
)
# What runs the image tower.
ENGINE: Options = (
    click.option("--engine", default="torch", help="Runs the image tower: torch, compile or onnx."),
    click.option(
        "--graph",
        metavar="FILE",
        help="For onnx: a file of `lhtclip export`.  [default: export once and cache]",
    ),
)
# Runs on a Ray cluster.
RAY: Options = (
    click.option(
        "--ray",
        metavar="[ADDRESS]",
        is_flag=False,
        flag_value="auto",
        help="Run on a Ray cluster: of this address, or that of this machine, started if needed.",
    ),
    click.option(
        "--ray-workers",
        metavar="N",
        type=click.IntRange(min=1),
        help="With --ray: models that run at once.  [default: as many as there is room for]",
    ),
    click.option(
        "--ray-cpus",
        metavar="N",
        type=click.IntRange(min=1),
        default=1,
        help="With --ray: CPU threads of each worker.",
    ),
    click.option(
        "--ray-gpus",
        metavar="G",
        type=float,
        help="With --ray: GPUs of each worker, such as 0.5.  [default: 1 if there are any]",
    ),
)
# How files are wanted; `output_options` reads them.
FORMATS: Options = (
    click.option(
        "--mode",
        type=click.Choice(["P", "L"]),
        default="P",
        help="Label PNGs with a palette of colours, or in grey (L), which OpenCV reads as numbers.",
    ),
    click.option(
        "--first-index",
        type=click.Choice(["0", "1"]),
        default="0",
        help="Value of the first class in label PNGs; with 1, ignored pixels are 0.",
    ),
    click.option(
        "--shape",
        type=click.Choice(["mask", "polygon"]),
        default="mask",
        help="Regions as masks or as polygons, where a format has both.",
    ),
    click.option(
        "--tolerance", type=float, default=0.0, help="Pixels that polygons may move to be simpler."
    ),
    click.option(
        "--least-area",
        type=int,
        default=0,
        help="Merge regions of fewer pixels into their neighbours, in formats of regions.",
    ),
    click.option(
        "--image-url",
        metavar="URL",
        default="/data/local-files/?d=",
        help="What Label Studio needs before an image's path.",
    ),
    click.option(
        "--font",
        metavar="FILE",
        help="Font of the legends of overlays, for names beyond ASCII letters.",
    ),
)


def output_options(given: dict[str, Any]) -> OutputOptions:
    """Take the options that say how files are wanted out of all that were given.

    Raises:
        InputError: One is out of range.
    """
    return OutputOptions(
        mode="palette" if given.pop("mode") == "P" else "grey",
        first_index=1 if given.pop("first_index") == "1" else 0,
        shape=given.pop("shape"),
        tolerance=given.pop("tolerance"),
        least_area=given.pop("least_area"),
        image_url=given.pop("image_url"),
        font=given.pop("font"),
    )


def vocabulary_of(
    classes: str | None,
    classes_file: str | None,
    *,
    background: str | None,
    threshold: float,
    aliases: str | None = None,
) -> Vocabulary:
    """Read and check the classes of --classes or --classes-file, and add --aliases.

    Raises:
        InputError: The classes cannot be used, or were given in both ways or in neither.
    """
    if classes is not None and classes_file is not None:
        raise InputError("Give either --classes or --classes-file, not both.")
    if classes is None and classes_file is None:
        raise InputError(
            "Say which classes to look for, such as --classes 'car, road, person|rider'."
        )
    words = read_classes_file(Path(classes_file)) if classes_file is not None else classes
    vocabulary = Vocabulary.of(words or "", background=background, threshold=threshold)
    return vocabulary if aliases is None else with_aliases(vocabulary, aliases)
