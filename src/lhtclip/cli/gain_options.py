"""The options that raise mIoU without training, all off by default."""

from __future__ import annotations

from typing import Any

import click

from lhtclip.cli.options import Options

REFINERS = ("none", "pamr", "tlp")
_PLAIN = {
    "refine": "none",
    "prior": 0.0,
    "flip": False,
    "shifts": 1,
    "joint": False,
    "texts": False,
}


class Lengths(click.ParamType[int | tuple[int, ...]]):
    """One length in pixels, or several with commas: 336 or 336,448."""

    name = "length"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | tuple[int, ...]:
        """Return a number, or a tuple of them."""
        if not isinstance(value, str):
            return value
        try:
            lengths = tuple(int(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not a length or several, such as 336 or 336,448.", param, ctx)
        return lengths if lengths[1:] else lengths[0]


RESIZE = click.option(
    "--resize",
    default="bilinear",
    help="bilinear, or opencv: exactly as in the published evaluations.",
)


def short_side_option(*, default: int | None, note: str = "") -> Any:
    """Make the option --short-side."""
    return click.option(
        "--short-side",
        metavar="A[,B,...]",
        type=Lengths(),
        default=default,
        help="Shorter side after resizing, in pixels; several lengths average the logits of all."
        f"{note}",
    )


def gain_options(*, published: bool) -> Options:
    """Make the options that raise mIoU without training, all off by default.

    Args:
        published: Whether the defaults are a protocol's.
    """
    default = {} if published else _PLAIN
    note = "  [default: the protocol's]" if published else ""
    return (
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
        click.option(
            "--aliases",
            metavar="common|given|FILE",
            help="Let all prompts of a class count together: those given with '|', and those of a "
            "common list or of a file of lines such as car|automobile|sedan.  [default: the best]",
        ),
        click.option(
            "--calibrate-texts/--no-calibrate-texts",
            default=default.get("texts"),
            show_default=False,
            help="Move the prompts towards the patches of each image that they surely match."
            f"{note}",
        ),
        click.option(
            "--joint-windows/--no-joint-windows",
            "joint",
            default=default.get("joint"),
            show_default=False,
            help=f"Let the windows of an image see each other in the last block.{note}",
        ),
    )
