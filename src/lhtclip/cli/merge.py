"""`lhtclip merge`: ends runs of `lhtclip segment --shard` and `lhtclip evaluate --shard`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from lhtclip.cli.console import Progress, print_path, print_table, say
from lhtclip.errors import InputError, listed


@click.command()
@click.argument("out", metavar="OUT")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document about the run.")
@click.option("--quiet", is_flag=True, help="Print no progress.")
@click.pass_context
def command(context: click.Context, *, out: str, as_json: bool, quiet: bool) -> None:
    """End a run of several shards in the folder OUT.

    After `lhtclip segment --shard`: checks that every image is labelled, and writes the files about
    the whole run and manifest.jsonl, which has a line for each image: done, failed with the reason,
    or missing, as is an image that has changed since. Prints the paths of the files written.

    After `lhtclip evaluate --shard`: adds up the counts and writes the reports. Prints a table of
    the results.

    If a part is missing, says which shards to run again. The exit code is 1 if anything is missing
    or has failed.
    """
    from lhtclip.batch.shards import plan_file  # imports torch, which is slow
    from lhtclip.evaluation.runner import shards_folder

    folder = Path(out)
    if plan_file(folder).exists():
        whole = _merge_labels(folder, as_json=as_json, quiet=quiet)
    elif shards_folder(folder).is_dir():
        whole = _merge_counts(folder, as_json=as_json)
    else:
        raise InputError(
            f"{folder} holds no shards: run `lhtclip segment` or `lhtclip evaluate` with --shard "
            "I/N and this --out first."
        )
    context.exit(0 if whole else 1)


def _merge_labels(out: Path, *, as_json: bool, quiet: bool) -> bool:
    """Merge, report, and say whether all images are labelled."""
    from lhtclip.batch.merge import merge_shards

    with Progress("images checked", quiet=quiet) as progress:
        merged = merge_shards(out, on_progress=progress)
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
        f"{len(merged.missing)} missing or changed."
    )
    for reason in merged.failed.values():
        say(reason)
    if merged.missing:
        say(f"Run these shards again, then merge: {listed(merged.shards) or 'all of them'}.")
    return not (merged.failed or merged.missing)


def _merge_counts(out: Path, *, as_json: bool) -> bool:
    """Merge, report, and say whether all data sets are whole."""
    from lhtclip.evaluation.merge import merge_evaluations
    from lhtclip.evaluation.report import summary

    merged = merge_evaluations(out)
    if as_json:
        click.echo(json.dumps({"datasets": merged.documents, "missing": merged.missing}, indent=2))
    elif merged.documents:
        print_table(*summary(merged.documents))
    for dataset, shards in merged.missing.items():
        say(f"Run these shards of {dataset} again, then merge: {listed(shards)}.")
    return not merged.missing
