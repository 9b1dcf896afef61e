"""What the shards of a run leave for each other and for the merge, in the folder of the results.

`.lhtclip/plan.jsonl` describes the whole run: a line about classes and formats, then a line an
image. `.lhtclip/shards/I-of-N.json` says which images a shard could not label, and why.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path, PurePosixPath

from lhtclip.batch.chunks import Shard
from lhtclip.batch.plan import Job
from lhtclip.errors import InputError
from lhtclip.files import write_atomically
from lhtclip.files.json_files import parse_json, read_json
from lhtclip.files.records import from_json, to_json
from lhtclip.files.regular_files import refuse_special
from lhtclip.formats.sink import ImageName, OutputOptions, Sink
from lhtclip.image.files import HIDDEN
from lhtclip.text.vocabulary import Vocabulary

MANIFEST_FILE = "manifest.jsonl"  # of a merge


@dataclass(frozen=True, slots=True)
class Plan:
    """The run that shards are parts of.

    Attributes:
        images: Number of images.
        digest: Of everything below and of the names of all images, in order.
        formats: Names of the formats.
        options: Choices about the files.
        vocabulary: The classes.
    """

    images: int
    digest: str
    formats: tuple[str, ...]
    options: OutputOptions
    vocabulary: Vocabulary

    @classmethod
    def of(cls, jobs: Sequence[Job], vocabulary: Vocabulary, sinks: Mapping[str, Sink]) -> Plan:
        """Describe a run."""
        options = next(iter(sinks.values())).options
        decisive = json.dumps([list(sinks), to_json(options), asdict(vocabulary)])
        digest = hashlib.sha256(decisive.encode())
        for line in _lines(jobs):
            digest.update(line)
        return cls(len(jobs), digest.hexdigest()[:16], tuple(sinks), options, vocabulary)


@dataclass(frozen=True, slots=True)
class ShardState:
    """The outcome of a shard.

    Attributes:
        shard: Which.
        plan: Digest of its plan.
        finished: Whether it came to its end.
        failed: Why images could not be labelled, by their paths.
    """

    shard: Shard
    plan: str
    finished: bool = False
    failed: Mapping[str, str] = field(default_factory=dict[str, str])


def shards_folder(out: Path) -> Path:
    """Return where shards keep locks and states."""
    return out / HIDDEN / "shards"


def plan_file(out: Path) -> Path:
    """Return the file of the plan."""
    return out / HIDDEN / "plan.jsonl"


def write_plan(out: Path, plan: Plan, jobs: Sequence[Job]) -> None:
    """Write the plan of a run.

    Raises:
        InputError: It cannot be written.
    """
    head = json.dumps(to_json(plan)).encode() + b"\n"
    write_atomically(plan_file(out), chain([head], _lines(jobs)))


def read_plan(out: Path) -> Plan | None:
    """Read the plan of a folder, without its images; None if there is none.

    Raises:
        InputError: It cannot be read.
    """
    path = plan_file(out)
    if not path.exists():
        return None
    try:
        refuse_special(path)
        with path.open(encoding="ascii") as file:
            return from_json(Plan, parse_json(file.readline()), str(path))
    except (OSError, ValueError) as error:
        raise _damaged(path) from error


def planned_images(out: Path, count: int) -> Iterator[ImageName]:
    """Read the images of a plan, in order.

    Args:
        out: Folder of the results.
        count: How many there are.

    Raises:
        InputError: The plan is damaged.
    """
    path, found = plan_file(out), 0
    with path.open(encoding="ascii") as file:
        next(file)
        for line in file:
            try:
                image, stem = map(PurePosixPath, parse_json(line))
            except (ValueError, TypeError) as error:
                raise _damaged(path) from error
            found += 1
            yield ImageName(image, stem)
    if found != count:
        raise _damaged(path)


def write_state(out: Path, state: ShardState) -> None:
    """Write the outcome of a shard.

    Raises:
        InputError: It cannot be written.
    """
    content = json.dumps(to_json(state)).encode()
    write_atomically(shards_folder(out) / f"{_name(state.shard)}.json", content)


def read_states(out: Path, plan: Plan) -> list[ShardState]:
    """Read the outcomes of the shards of a plan; files that are damaged count as missing."""
    found: list[ShardState] = []
    for path in sorted(shards_folder(out).glob("*.json")):
        try:
            found.append(from_json(ShardState, read_json(path), str(path)))
        except (OSError, ValueError):
            continue
    return [state for state in found if state.plan == plan.digest]


def lock_file(out: Path, shard: Shard) -> Path:
    """Return the file that a shard locks while it runs."""
    return shards_folder(out) / f"{_name(shard)}.lock"


def _damaged(path: Path) -> InputError:
    return InputError(
        f"{path} is not understood. Delete it, and run the shards again: what they have labelled "
        "is kept."
    )


def _name(shard: Shard) -> str:
    return f"{shard.number}-of-{shard.count}"


def _lines(jobs: Sequence[Job]) -> Iterator[bytes]:
    for job in jobs:
        names = [job.name.path.as_posix(), job.name.stem.as_posix()]
        yield json.dumps(names).encode() + b"\n"
