"""`lhtclip datasets`: which labelled data sets can be read, and whether one is sound."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lhtclip.batch.plan import check_folder
from lhtclip.cli.console import Progress, print_path, print_table, say
from lhtclip.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

    from lhtclip.datasets.check import DatasetReport, Finding
    from lhtclip.datasets.dataset import Dataset, Sample

_OVERLAYS = 3
_OPACITY = 0.6
_QUICK_MAPS = 100
_SHOWN = 5  # findings of one kind


@click.group(invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """List the labelled data sets that can be read, and check one on disk."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@command.command("list", short_help="List the data sets that can be read, and their files.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_command(*, as_json: bool) -> None:
    """List the data sets that can be read, and the files expected below --root.

    If a line starts with a folder, --root may be that folder or its parent.
    """
    from lhtclip.datasets import SPECS

    if as_json:
        entries = [
            {
                "name": spec.name,
                "classes": spec.classes,
                "images": next(iter(spec.images), None),
                "layouts": spec.layouts,
            }
            for spec in SPECS.values()
        ]
        click.echo(json.dumps(entries, indent=2))
        return
    rows: list[tuple[str, ...]] = []
    for spec in SPECS.values():
        first = (spec.name, str(spec.classes or "-"), str(next(iter(spec.images), "-")))
        rows += [
            (*(("", "", "") if place else first), layout)
            for place, layout in enumerate(spec.layouts)
        ]
    print_table(("name", "classes", "images", "files"), rows)


@command.command("check", short_help="Check whether a data set on disk is sound.")
@click.argument("name")
@click.option(
    "--root", metavar="DIR", help="The data set's folder, or its parent; `scenes` needs none."
)
@click.option(
    "--out", metavar="DIR", default="dataset-check", help="Output folder for the overlays."
)
@click.option("--maps", metavar="N", type=click.IntRange(min=1), help="Read only N label maps.")
@click.option("--quick", is_flag=True, help=f"Read only {_QUICK_MAPS} label maps.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--quiet", is_flag=True, help="Print no progress.")
def check_command(
    *,
    name: str,
    root: str | None,
    out: str,
    maps: int | None,
    quick: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Read the label maps of a data set and report what would spoil an evaluation.

    That is: missing images, files that cannot be read, labels without a class, label maps of
    another size than their image, and classes that never occur. Prints each class's share of the
    pixels, and the paths of three overlays to look at.

    The exit code is 2 if numbers measured on the data set would mean nothing.
    """
    if quick and maps is not None:
        raise InputError("Give either --quick or --maps, not both.")
    check_folder(Path(out))

    from lhtclip.datasets import open_dataset
    from lhtclip.datasets.check import check_dataset

    dataset = open_dataset(name, Path(root) if root else None)
    with Progress("label maps", quiet=quiet) as progress:
        report = check_dataset(dataset, maps=_QUICK_MAPS if quick else maps, progress=progress)
    report, overlays = _draw_overlays(report, Path(out))
    if as_json:
        content = report.to_dict() | {"overlays": [str(path) for path in overlays]}
        click.echo(json.dumps(content, indent=2))
    else:
        _print_shares(report)
        for path in overlays:
            print_path(path)
    _say_findings(report.findings)
    if report.broken:
        raise InputError(_summary(report))
    if not quiet:
        say(f"{name}: {report.maps} label maps of {len(dataset.samples)} read, usable.")


def _draw_overlays(report: DatasetReport, out: Path) -> tuple[DatasetReport, list[Path]]:
    """Write overlays of sound samples, spread over the set; a failure becomes a finding."""
    from lhtclip.datasets.check import Finding, spread
    from lhtclip.files import write_atomically
    from lhtclip.output.png import encode_picture

    written: list[Path] = []
    for sample in spread(report.sound, _OVERLAYS):
        try:
            picture = _overlay(sample, report.dataset)
        except InputError as error:
            found = Finding("unreadable file", str(error), images=(sample.key,))
            report = replace(report, findings=(*report.findings, found))
        else:
            path = out / f"{report.dataset.name}.{sample.key}.overlay.png"
            written.append(write_atomically(path, encode_picture(picture)))
    return report, written


def _overlay(sample: Sample, dataset: Dataset) -> Image.Image:
    """Draw the ground truth over the image; ignored pixels show the image as it is."""
    from lhtclip.image.pixels import read_image
    from lhtclip.output.overlay import draw_labels
    from lhtclip.output.palette import class_colours
    from lhtclip.text.vocabulary import BACKGROUND

    names = dataset.names
    colours = class_colours(len(names), background=0 if names[0].casefold() == BACKGROUND else None)
    return draw_labels(read_image(sample.image), sample.truth(), names, colours, opacity=_OPACITY)


def _print_shares(report: DatasetReport) -> None:
    columns = zip(report.dataset.names, report.shares, report.occurrences, strict=True)
    rows = [
        (str(index), name, f"{share:.2%}", str(maps))
        for index, (name, share, maps) in enumerate(columns)
    ]
    ignored = ("-", "(ignored)", f"{report.ignored_share:.2%}", "")
    print_table(("label", "class", "pixels", "maps"), [*rows, ignored])


def _say_findings(findings: Sequence[Finding]) -> None:
    """Report the first few findings of each kind, and how many more there are."""
    kinds: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        kinds[finding.kind].append(finding)
    for kind, group in kinds.items():
        for finding in group[:_SHOWN]:
            say(f"{'broken' if finding.broken else 'doubtful'}: {finding.text}")
        if len(group) > _SHOWN:
            say(f"and {len(group) - _SHOWN} more of this kind ({kind}); --json has all of them.")


def _summary(report: DatasetReport) -> str:
    kinds = Counter(finding.kind for finding in report.findings if finding.broken)
    counted = [kind if count == 1 else f"{kind} ({count} times)" for kind, count in kinds.items()]
    return (
        f"{report.dataset.name} is broken, do not measure anything on it: {', '.join(counted)}. "
        "`lhtclip datasets list` says which files are expected."
    )
