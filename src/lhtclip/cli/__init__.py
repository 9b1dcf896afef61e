"""The command `lhtclip`: one file per command, loaded when it is called.

Results go to stdout, everything else to stderr. Exit codes: 0 done, 1 some images failed, 2 input
or output that cannot be used; 130, 141 and 143 as of other tools: interrupted, nobody reads stdout
any more, terminated.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from itertools import pairwise

import click
from click.shell_completion import shell_complete

from lhtclip import __version__
from lhtclip.cli.console import say, warnings_shown
from lhtclip.cli.process import (
    ended,
    open_standard_streams,
    refused,
    signals_stop,
    signals_win,
)
from lhtclip.errors import InputError, LhtClipError, unknown

_MAY_BE_EMPTY = ("--image-url", "--classes", "--background")  # the last two say more about it
_COMPLETION = "_LHTCLIP_COMPLETE"  # where a shell that completes says what it wants

# Each is in the module of its name. The help is here, so that it needs none of them.
COMMANDS = {
    "segment": "Label every pixel of images with your classes.",
    "merge": "End a run of several shards: check it, and write what is about the whole.",
    "convert": "Convert label PNGs to the formats of other programs.",
    "serve": "Serve a page and a REST service.",
    "raster": "Label georeferenced rasters of any size.",
    "reproduce": "Measure the paper's tables.",
    "models": "List the models with a short name.",
    "methods": "List the methods.",
    "download": "Download models into the local cache.",
    "verify": "Compare models with answers that others published.",
    "demo": "Segment the bundled scenes.",
    "evaluate": "Measure mIoU on data sets with ground truth, by published protocols.",
    "analyze": "Measure layers, heads and tokens of a model.",
    "datasets": "List the data sets that can be read, or check one on disk.",
    "export": "Export the image encoder as an ONNX graph.",
    "calibrate": "Find the settings of LHT-CLIP for a model, on your own images.",
}


class LazyGroup(click.Group):
    """Knows its commands by name and imports each one on demand."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None for a name that is not in the table."""
        if cmd_name not in COMMANDS:
            return None
        return import_module(f"lhtclip.cli.{cmd_name}").command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments name, or raise an error that lists all."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            raise unknown("command", args[0], COMMANDS)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table as help."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def group() -> None:
    """Open-vocabulary semantic segmentation with a frozen CLIP (LHT-CLIP, arXiv 2510.23894)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code; without arguments it shows the help."""
    arguments = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    open_standard_streams()
    if instruction := os.environ.get(_COMPLETION):
        return shell_complete(group, {}, "lhtclip", _COMPLETION, instruction)
    with warnings_shown(), signals_stop() as received:
        try:
            _refuse_empty(arguments)
            with signals_win(received), group.make_context("lhtclip", arguments) as context:
                group.invoke(context)
        except click.exceptions.Exit as end:
            return end.exit_code
        except LhtClipError as error:
            say(str(error))
            return 2
        except click.ClickException as error:
            say(_usage(error))
            return error.exit_code
        except KeyboardInterrupt as error:
            return ended(error)
        except OSError as error:
            return refused(error)
    return 0


def _refuse_empty(arguments: Sequence[str]) -> None:
    """Refuse empty values: an empty folder would be the current one, an empty preset none.

    Raises:
        InputError: There is one.
    """
    for before, argument in pairwise(["", *arguments]):
        option = argument[:-1] if argument.startswith("--") and argument.endswith("=") else before
        if (not argument or option != before) and option not in _MAY_BE_EMPTY:
            where = f"after {option}" if option.startswith("-") else "among the arguments"
            raise InputError(
                f"There is an empty value {where}: leave it out, or set the variable it is from."
            )


def _usage(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    hint = f" See '{context.command_path} --help'." if context else ""
    return error.format_message().rstrip(".") + "." + hint
