"""`lhtclip serve`: the page and the service on one model."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from lhtclip.cli.gain_options import RESIZE, gain_options, short_side_option
from lhtclip.cli.options import (
    ENCODER,
    ENGINE,
    MACHINE,
    with_options,
)
from lhtclip.errors import InputError, reason_of
from lhtclip.extras import import_extra
from lhtclip.files.regular_files import read_regular
from lhtclip.server.settings import ServerSettings

_MOST_BYTES = 4096  # of a token
_TOKEN = "LHTCLIP_TOKEN"
_LABEL_STUDIO_TOKEN = "LABEL_STUDIO_API_KEY"
_DEFAULT = ServerSettings()


@click.command()
@with_options(ENCODER, (RESIZE, short_side_option(default=336)), gain_options(published=False))
@click.option(
    "--also",
    metavar="MODEL",
    multiple=True,
    help="Load a further model, to compare with; repeatable.",
)
@click.option("--host", default=_DEFAULT.host, help="Address to listen on.")
@click.option("--port", type=int, default=_DEFAULT.port, help="TCP port; 0 chooses a free one.")
@click.option(
    "--token-file",
    metavar="FILE",
    help=f"Clients must send the token in this file.  [default: ${_TOKEN}]",
)
@click.option("--no-token", is_flag=True, help="Require no token, even from other machines.")
@click.option(
    "--cors",
    metavar="ORIGIN",
    multiple=True,
    help="Allow requests from pages of this origin; repeatable.",
)
@click.option("--root", metavar="DIR", help="Let the page list and label the images of a folder.")
@click.option(
    "--label-studio",
    metavar="URL",
    help=f"Fetch task images from this Label Studio, with ${_LABEL_STUDIO_TOKEN}.",
)
@click.option(
    "--queue", type=int, default=_DEFAULT.queue, help="Maximum number of waiting requests."
)
@click.option(
    "--cache",
    "cache_mb",
    metavar="MB",
    type=int,
    default=_DEFAULT.cache_bytes >> 20,
    help="Memory for encoded images.",
)
@click.option(
    "--max-upload",
    "upload_mb",
    metavar="MB",
    type=int,
    default=_DEFAULT.max_bytes >> 20,
    help="Maximum size of a request.",
)
@click.option(
    "--timeout",
    metavar="S",
    type=float,
    default=_DEFAULT.timeout,
    help="Longest wait in seconds.",
)
@click.option("--log-json", is_flag=True, help="Write the log as JSON lines.")
@with_options(MACHINE, ENGINE)
@click.option("--quiet", is_flag=True, help="Do not print the address of the page.")
def command(**given: Any) -> None:
    """Serve a page for people and a REST service for programs.

    Open the printed address in a browser: drop an image, type classes, and the mask follows. The
    service is under /v1 and described at /docs. Only this machine can reach it, unless --host
    says otherwise. Ctrl-C or SIGTERM shuts it down gracefully.
    """
    for module in ("fastapi", "uvicorn", "prometheus_client", "python_multipart"):
        import_extra(module, purpose="Servers")
    settings = ServerSettings(
        host=given["host"],
        port=given["port"],
        token=_token(given["token_file"]),
        no_token=given["no_token"],
        cors=tuple(given["cors"]),
        root=Path(given["root"]) if given["root"] else None,
        label_studio=given["label_studio"],
        label_studio_token=os.environ.get(_LABEL_STUDIO_TOKEN),
        queue=given["queue"],
        cache_bytes=given["cache_mb"] << 20,
        max_bytes=given["upload_mb"] << 20,
        timeout=given["timeout"],
        log_json=given["log_json"],
        aliases=given["aliases"],
    )

    from lhtclip.cli.load import config_of, warn_if_bundled  # imports torch, which is slow
    from lhtclip.segmenter import Segmenter
    from lhtclip.server.run import serve

    config = config_of(given)
    if not given["quiet"]:
        warn_if_bundled(config.model)
    first, *also = (
        Segmenter.from_config(replace(config, model=name))
        for name in (config.model, *given["also"])
    )
    serve(first, settings, also=also, on_ready=click.echo)


def _token(file: str | None) -> str | None:
    if file is None:
        return os.environ.get(_TOKEN)
    try:
        return read_regular(file, most=_MOST_BYTES).decode("utf-8").strip()
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot read the token in {file}: {reason_of(error)}.") from error
