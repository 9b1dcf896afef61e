"""What a check found: the faults of a data set, and what its label maps hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lhtclip.datasets.dataset import Dataset, Sample

_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with a data set.

    kind: What findings of this sort are called.
    text: A sentence or two that name the files, and the labels in them.
    broken: Whether numbers measured on the set would mean nothing; else a person should look.
    pictures: Keys of the samples that it concerns; none where it is the set as a whole.
    ids: The labels that it concerns.
    """

    kind: str
    text: str
    broken: bool = True
    pictures: tuple[str, ...] = ()
    ids: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Describe the finding in JSON types."""
        return {
            "kind": self.kind,
            "broken": self.broken,
            "text": self.text,
            "pictures": list(self.pictures),
            "ids": list(self.ids),
        }


@dataclass(frozen=True, slots=True)
class DatasetReport:
    """What a data set holds, and what is wrong with it.

    dataset: What was checked.
    maps: How many label maps were opened.
    pixels: Of each class, in the sound maps among them.
    occurrences: Sound maps in which each class occurs.
    ignored: Pixels of the sound maps that do not count.
    sound: The samples whose map and picture fit together and are what they should be.
    findings: Those about the set as a whole come first.
    """

    dataset: Dataset
    maps: int
    pixels: tuple[int, ...]
    occurrences: tuple[int, ...]
    ignored: int
    sound: tuple[Sample, ...]
    findings: tuple[Finding, ...]

    @property
    def broken(self) -> bool:
        """Whether numbers measured on the set would mean nothing."""
        return any(finding.broken for finding in self.findings)

    @property
    def shares(self) -> tuple[float, ...]:
        """Each class's share of all pixels read, in [0, 1]; with `ignored_share` they sum to 1."""
        return tuple(count / self._total for count in self.pixels)

    @property
    def ignored_share(self) -> float:
        """Share of all pixels read that do not count, in [0, 1]."""
        return self.ignored / self._total

    def to_dict(self) -> dict[str, Any]:
        """Describe the report in JSON types."""
        columns = zip(self.dataset.names, self.shares, self.occurrences, strict=True)
        return {
            "dataset": self.dataset.name,
            "pictures": len(self.dataset.samples),
            "published": self.dataset.published,
            "maps": self.maps,
            "broken": self.broken,
            "ignored_share": self.ignored_share,
            "classes": [
                {"index": index, "name": name, "share": share, "maps": maps}
                for index, (name, share, maps) in enumerate(columns)
            ],
            "findings": [finding.to_dict() for finding in self.findings],
        }

    @property
    def _total(self) -> int:
        return max(1, sum(self.pixels) + self.ignored)


def listed(things: Sequence[object]) -> str:
    """Write the first of many things with commas between, and how many more there are."""
    text = ", ".join(map(str, things[:_SHOWN]))
    return text if len(things) <= _SHOWN else f"{text} and {len(things) - _SHOWN} more"
