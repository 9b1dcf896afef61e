"""`lhtclip models`: the models with a short name, and which of them are on disk."""

from __future__ import annotations

import json

import click

from lhtclip.cli.console import print_table, say


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, as_json: bool) -> None:
    """List the models with a short name, which of them are in the local cache, and their licences.

    Besides these, --model accepts the id of any CLIP on the hub in the layout of `transformers` or
    OpenCLIP ("organisation/model"), any local folder in one of these layouts, and OpenAI's own
    archives (ViT-B-16.pt).
    """
    from lhtclip.checkpoints.hub import resolve
    from lhtclip.checkpoints.known_models import KNOWN_MODELS
    from lhtclip.errors import LhtClipError

    def local_folder(name: str) -> str | None:
        try:
            return str(resolve(name, download=False))
        except LhtClipError:
            return None

    folders = {model.name: local_folder(model.name) for model in KNOWN_MODELS}
    if as_json:
        entries = [
            {
                "name": model.name,
                "hub_id": model.address or None,
                "note": model.note,
                "licence": model.licence,
                "limits": model.limits or None,
                "folder": folders[model.name],
            }
            for model in KNOWN_MODELS
        ]
        click.echo(json.dumps(entries, indent=2))
        return
    print_table(
        ("name", "here", "hub id", "note", "licence"),
        [
            (
                model.name,
                "yes" if folders[model.name] else "no",
                model.address or "-",
                model.note,
                f"{model.licence} ({model.limits})" if model.limits else model.licence,
            )
            for model in KNOWN_MODELS
        ],
    )
    say(
        "Not listed, because only its authors hand it out: dino.txt on DINOv3, read from your own "
        "files, under the DINOv3 License; see docs/reference/checkpoints.md."
    )
