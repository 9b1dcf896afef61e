"""The options that several commands share, and a record of them for each command."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from lhtclip.errors import InputError
from lhtclip.formats.sink import OutputOptions
from lhtclip.image.opening import MAX_PIXELS
from lhtclip.text.vocabulary import Vocabulary, read_classes_file

Command = TypeVar("Command", bound=Callable[..., Any])


def switch(name: str, text: str, *, default: bool | None = None) -> Any:
    """Make the option --name/--no-name."""
    return click.option(f"--{name}/--no-{name}", default=default, show_default=False, help=text)


_MODEL = (
    click.option(
        "--model",
        default="ViT-B-16",
        help="Short name (`lhtclip models`), hub id, or local folder.",
    ),
    click.option(
        "--method", default="sclip", help="Method for the last block (`lhtclip methods`)."
    ),
    switch("lht", "LHT-CLIP's three techniques.  [default: on]", default=True),
    switch("atr", "Abnormal token replacement.  [default: as --lht]"),
    switch("ssr", "Spatial-semantic reweighting.  [default: as --lht]"),
    switch("she", "Selective head enhancement.  [default: as --lht]"),
    switch("residual", "The last block's residual connection.  [default: as published]"),
    switch("mlp", "The last block's MLP.  [default: as published]"),
    click.option("--preset", metavar="FILE", help="Settings of the techniques (JSON)."),
)
_MACHINE = (
    click.option("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps."),
    click.option("--dtype", default="auto", help="auto, float32, bfloat16 or float16."),
    click.option("--max-pixels", type=int, default=MAX_PIXELS, help="Refuse larger images."),
)

_READING = (
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
_ENGINE = (
    click.option("--engine", default="torch", help="Runs the image tower: torch, compile or onnx."),
    click.option(
        "--graph",
        metavar="FILE",
        help="For onnx: a file of `lhtclip export`.  [default: export once and cache]",
    ),
)
REFINERS = ("none", "pamr", "tlp")
_PLAIN = {"refine": "none", "prior": 0.0, "flip": False, "shifts": 1}
_FORMATS = (
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


def shard_option(command: Command) -> Command:
    """Add the option that chooses a share of the images; `Shard.parse` reads it."""
    text = "Do only part I of N, from 1/N to N/N; `lhtclip merge` joins the parts."
    return _add(command, (click.option("--shard", metavar="I/N", help=text),))


def gain_options(*, published: bool) -> Callable[[Command], Command]:
    """Make the options that raise mIoU without training, all off by default.

    Args:
        published: Whether the defaults are a protocol's.
    """
    default = {} if published else _PLAIN
    note = "  [default: the protocol's]" if published else ""
    options = (
        click.option(
            "--refine",
            type=click.Choice(REFINERS),
            default=default.get("refine"),
            help=f"Refine the logits along the image: PAMR, or text-aware propagation (TLP).{note}",
        ),
        click.option("--pamr", "refine", flag_value="pamr", help="The same as --refine pamr."),
        click.option(
            "--prior",
            metavar="W",
            type=float,
            default=default.get("prior"),
            help=f"Weight of what the whole image shows, such as 0.2, or -0.3 for aerial images."
            f"{note}",
        ),
        click.option(
            "--flip/--no-flip",
            default=default.get("flip"),
            show_default=False,
            help=f"Average with mirrored windows; twice the time.{note}",
        ),
        click.option(
            "--shifts",
            metavar="N",
            type=int,
            default=default.get("shifts"),
            help=f"Average windows at N positions within a patch, in each direction.{note}",
        ),
    )
    return lambda command: _add(command, options)


def format_options(command: Command) -> Command:
    """Add the options that say how files are wanted; `output_options` reads them."""
    return _add(command, _FORMATS)


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


def model_options(command: Command) -> Command:
    """Add the options that choose model, method and techniques."""
    return _add(command, _MODEL)


def machine_options(command: Command) -> Command:
    """Add the options for device, precision and limits."""
    return _add(command, _MACHINE)


def reading_options(command: Command) -> Command:
    """Add the options that choose how values of images become RGB levels."""
    return _add(command, _READING)


def engine_options(command: Command) -> Command:
    """Add the options that choose the engine."""
    return _add(command, _ENGINE)


def _add(command: Command, options: tuple[Any, ...]) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """The options that choose model, machine and engine; None means the default."""

    model: str
    method: str
    lht: bool
    atr: bool | None
    ssr: bool | None
    she: bool | None
    residual: bool | None
    mlp: bool | None
    preset: str | None
    device: str
    dtype: str
    max_pixels: int
    engine: str
    graph: str | None
    quiet: bool


def vocabulary_of(
    classes: str | None, classes_file: str | None, *, background: str | None, threshold: float
) -> Vocabulary:
    """Read and check the classes of --classes or --classes-file.

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
    return Vocabulary.of(words or "", background=background, threshold=threshold)


@dataclass(frozen=True, slots=True)
class EvaluateOptions(ModelOptions):
    """The options of `lhtclip evaluate`, as typed; None means "as published"."""

    names: tuple[str, ...]
    root: str | None
    protocol: str | None
    templates: str | None
    short_side: int | None
    window: int | None  # 0: the whole image
    resize: str | None
    stride: int | None
    logit_scale: float | None
    threshold: float | None
    area_threshold: float | None
    refine: str | None
    prior: float | None
    flip: bool | None
    shifts: int | None
    batch: int | None
    limit: int | None
    seed: int | None
    workers: int
    trimap: int
    check: bool
    predictions: bool
    gallery: int
    out: str
    overwrite: bool
    shard: str | None
    as_json: bool

    def check_numbers(self) -> None:
        """Check the numbers that are not checked elsewhere before a model is loaded.

        Raises:
            InputError: One is out of range.
        """
        check_numbers(max_pixels=self.max_pixels, logit_scale=self.logit_scale, window=self.window)
        for name, share in (("threshold", self.threshold), ("area-threshold", self.area_threshold)):
            if share is not None and not 0 <= share <= 1:
                raise InputError(f"--{name} must be a number from 0 to 1, not {share:g}.")


def check_numbers(*, max_pixels: int, logit_scale: float | None, window: int | None) -> None:
    """Check the numbers that several commands share; None if not given.

    Raises:
        InputError: One is out of range.
    """
    if logit_scale is not None and not (math.isfinite(logit_scale) and logit_scale > 0):
        raise InputError(f"--logit-scale must be above 0, not {logit_scale:g}.")
    if max_pixels < 1:
        raise InputError(f"--max-pixels must be at least 1, not {max_pixels}.")
    if window is not None and window < 0:
        raise InputError(f"--window must be 0 or more pixels, not {window}.")
