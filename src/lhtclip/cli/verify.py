"""`lhtclip verify`: compare checkpoints with the answers that others published."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from lhtclip.cli.console import print_table, say
from lhtclip.errors import InputError, LhtClipError

PHOTO = "http://images.cocodataset.org/val2017/000000039769.jpg"
_SIZE = (640, 480)  # width, height
_SECONDS, _MOST = 20, 5_000_000


@click.command()
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@click.option("--image", metavar="FILE", help="COCO val2017 000000039769.jpg.  [default: fetch it]")
@click.option("--root", metavar="DIR", help="Also evaluate the data sets that are in this folder.")
@click.option("--out", metavar="DIR", default="verify", help="Counts of these evaluations.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def command(
    context: click.Context,
    *,
    models: tuple[str, ...],
    image: str | None,
    root: str | None,
    out: str,
    as_json: bool,
) -> None:
    """Compare models with known answers.

    Asks each model questions whose answers others published, and prints expected and measured
    values with their source: files, tokens, features, a photo, and with --root whole data sets.
    Where no answer is known it checks that features are finite and that a photo is most similar to
    its own name. Exits with 1 if an answer is missed or a model cannot be loaded.
    """
    from lhtclip.checkpoints.checkpoint import load_checkpoint  # brings torch
    from lhtclip.files.json_files import json_types
    from lhtclip.image.pixels import read_image
    from lhtclip.verify.answers import answers_for
    from lhtclip.verify.run import Material, verify

    def photo(address: str) -> Any:
        if address:
            return read_image(_fetch(address))
        return _of_its_size(read_image(image or _fetch(PHOTO)))

    if image:
        photo("")  # before any model is loaded
    if root and not Path(root).is_dir():
        raise InputError(f"There is no folder {root}: give --root the folder of the data sets.")
    material = Material(photo, Path(root) if root else None, Path(out))
    documents: list[dict[str, Any]] = []
    failed = False
    for name in models:
        try:
            checkpoint = load_checkpoint(name)
        except LhtClipError as error:
            if len(models) == 1:
                raise
            say(str(error))
            failed = True
            continue
        verdicts = list(verify(checkpoint, material))
        if not answers_for(checkpoint.name):
            say(f"{checkpoint.name}: no public answer known; only general checks.")
        documents += [
            {"model": checkpoint.name, "passed": each.passed} | asdict(each) for each in verdicts
        ]
    if as_json:
        click.echo(json.dumps(json_types(documents), indent=1))
    else:
        print_table(
            ("model", "question", "expected", "measured", "within", "result", "source"),
            [_row(each) for each in documents],
        )
    context.exit(1 if failed or any(each["passed"] is False for each in documents) else 0)


def _row(document: dict[str, Any]) -> tuple[str, ...]:
    answer = document["answer"]
    result = {True: "ok", False: "MISSED", None: f"not measured: {document['reason']}"}
    return (
        document["model"],
        answer["what"],
        _short(answer["expected"]),
        _short(document["measured"]),
        f"{answer['tolerance']:g}",
        result[document["passed"]],
        answer["source"],
    )


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, list):
        return "[" + ", ".join(_short(each) for each in value) + "]"
    return "" if value is None else str(value)


def _of_its_size(levels: Any) -> Any:
    """Refuse another photo, or a smaller copy: that the answers are missed would say nothing."""
    height, width = levels.shape[:2]
    if (width, height) != _SIZE:
        raise InputError(
            f"The photo has {width} x {height} pixels, and answers are about one of "
            f"{_SIZE[0]} x {_SIZE[1]}: download {PHOTO} and give that to --image."
        )
    return levels


def _fetch(address: str) -> bytes:
    remedy = " Download it elsewhere and pass --image FILE." if address == PHOTO else ""
    try:
        with urllib.request.urlopen(address, timeout=_SECONDS) as answer:
            return answer.read(_MOST)
    except OSError as error:
        raise InputError(f"Cannot fetch the photo {address}: {error}.{remedy}") from error
