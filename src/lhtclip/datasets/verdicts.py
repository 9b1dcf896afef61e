"""What the counts of a whole set give away: pictures that are missing, labels that mean others.

Shares are judged where every map of a complete set was read; what is odd about those of a published
set breaks it. From a hundred maps on they are judged too, but raise no more than doubts.
"""

from __future__ import annotations

from collections.abc import Iterator

from lhtclip.datasets.dataset import Dataset
from lhtclip.datasets.expected import Bounds, Expected, expected_of
from lhtclip.datasets.findings import DatasetReport, Finding, listed
from lhtclip.text.vocabulary import BACKGROUND

_ENOUGH_MAPS = 100
_ANY_BACKGROUND = (0.0, 0.98)  # of a set of which nothing else is known


def wrong_count(dataset: Dataset) -> Finding | None:
    """Compare the count of pictures with the published one; None where they agree."""
    found, published = len(dataset.samples), dataset.published
    known = expected_of(dataset)
    if found == published or (known and found in known.pictures) or (found and published is None):
        return None
    text = f"{dataset.name} has {found} pictures here"
    if published is not None:
        text += (
            f", its publisher counts {published}: numbers measured on these cannot be compared "
            "with published ones"
        )
    return Finding("count of pictures", f"{text}.")


def verdicts(report: DatasetReport) -> Iterator[Finding]:
    """Judge the set as a whole; nothing where all is as it should be."""
    known = expected_of(report.dataset)
    count = wrong_count(report.dataset)
    every_map = report.maps == len(report.dataset.samples)
    complete = every_map and count is None
    if count:
        yield count
    # Candidates name classes on purpose that their picture does not show.
    offered = any(sample.candidates is not None for sample in report.dataset.samples)
    if every_map and report.sound and not offered:
        yield from _absent(report, known, broken=complete and bool(known and known.every_class))
    if report.sound and (complete or report.maps >= _ENOUGH_MAPS):
        yield from _odd_shares(report, known, broken=complete and known is not None)


def _absent(report: DatasetReport, known: Expected | None, *, broken: bool) -> Iterator[Finding]:
    names = report.dataset.names
    absent = tuple(index for index, maps in enumerate(report.occurrences) if maps == 0)
    if not absent:
        return
    what = listed([f"{index} ({names[index]})" for index in absent])
    text = f"{len(absent)} of {len(names)} classes occur in no label map: {what}."
    if known and absent[-1] == len(names) - 1:
        text += " The last one is among them, as it is where a zero label was taken away twice."
    yield Finding("absent class", text, broken=broken, ids=absent)


def _odd_shares(
    report: DatasetReport, known: Expected | None, *, broken: bool
) -> Iterator[Finding]:
    has_background = report.dataset.names[0].casefold() == BACKGROUND
    background = known.background if known else _ANY_BACKGROUND if has_background else None
    judged = {
        "ignored": (report.ignored_share, known and known.ignored),
        "background": (report.shares[0], background),
    }
    for what, (share, bounds) in judged.items():
        if bounds and not bounds[0] <= share <= bounds[1]:
            text = (
                f"{share:.2%} of the pixels are {what}, {_range(bounds)} should be: void pixels or "
                "a zero label were lost or taken away twice, or these are labels of another kind."
            )
            yield Finding(f"share of {what} pixels", text, broken=broken)
    if known and known.commonest is not None:
        yield from _wrong_order(report, known.commonest, range(*known.things), broken=broken)


def _wrong_order(
    report: DatasetReport, commonest: int, things: range, *, broken: bool
) -> Iterator[Finding]:
    found = max(things, key=lambda index: report.pixels[index])
    if found != commonest:
        names = report.dataset.names
        text = (
            f"Of the classes {things[0]} to {things[-1]}, {found} ({names[found]}) has the most "
            f"pixels; it should be {commonest} ({names[commonest]}). The classes seem to be in "
            "another order."
        )
        yield Finding("order of the classes", text, broken=broken, ids=(found, commonest))


def _range(bounds: Bounds) -> str:
    low, high = bounds
    return f"{low:.2%} to {high:.0%}" if high else "none"
