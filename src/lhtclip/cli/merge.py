"""`lhtclip merge`: ends runs of `lhtclip segment --shard` and `lhtclip evaluate --shard`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from lhtclip.cli.console import Progress, print_path, say
from lhtclip.errors import listed

_SHOWN = 5  # images that could not be labelled


@click.command()
@click.argument("out", metavar="OUT")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document about the run.")
@click.option("--quiet", is_flag=True, help="Print no progress.")
@click.pass_context
def command(context: click.Context, *, out: str, as_json: bool, quiet: bool) -> None:
    """End a run of several shards in the folder OUT.

    Checks that every image is labelled, writes the files about the whole run and manifest.jsonl, a
    line for each image: done, failed with the reason, or missing. Prints the paths of the files
    written. If images are missing, says which shards to run again, and only writes the manifest.

    The exit code is 1 if images have failed or are missing.
    """
    from lhtclip.batch.merge import merge_shards  # imports torch, which is slow

    with Progress("images checked", quiet=quiet) as progress:
        merged = merge_shards(Path(out), on_progress=progress)
    if as_json:
        document = {
            "images": merged.images,
            "done": merged.done,
            "failed": merged.failed,
            "missing": merged.missing,
            "run_again": list(merged.shards),
            "files": [str(path) for path in merged.files],
        }
        click.echo(json.dumps(document, indent=2))
    else:
        for path in merged.files:
            print_path(path)
    say(
        f"{merged.images} images: {merged.done} done, {len(merged.failed)} failed, "
        f"{len(merged.missing)} missing."
    )
    for reason in list(merged.failed.values())[:_SHOWN]:
        say(reason)
    if merged.missing:
        again = listed(merged.shards) or "all of them"
        say(f"Run these shards again, then merge: {again}.")
    context.exit(1 if merged.failed or merged.missing else 0)
