"""The images that are done: a small record ties results to the bytes they were made from.

A result counts as done only if the image, the result files and the record itself are unchanged.
Leftovers of a killed run are made again. A record is a line of JSON, and a line with its SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from lhtclip.files import write_atomically
from lhtclip.files.json_files import parse_json
from lhtclip.files.records import from_json
from lhtclip.files.regular_files import read_regular
from lhtclip.formats.sink import ImageName, Part, Sink
from lhtclip.image.files import HIDDEN

IMAGES = "images"  # inside it, for the entries
_MOST_BYTES = 1 << 30  # polygons of a large image take more than other JSON


@dataclass(frozen=True, slots=True)
class Digest:
    """Length in bytes and SHA-256 of a file."""

    bytes: int
    sha256: str

    @classmethod
    def of(cls, content: bytes) -> Digest:
        """Digest bytes."""
        return cls(len(content), hashlib.sha256(content).hexdigest())

    @classmethod
    def of_file(cls, path: Path) -> Digest:
        """Digest a file.

        Raises:
            OSError: It cannot be read.
        """
        digest, length = hashlib.sha256(), 0
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
                length += len(block)
        return cls(length, digest.hexdigest())


@dataclass(frozen=True, slots=True)
class Entry:
    """An image that is done.

    Attributes:
        image: Its path below the given folder.
        stem: The name of its results without suffix.
        source: Its absolute path.
        digest: Digest of its file.
        width: Pixels.
        height: Pixels.
        coverage: Share of each class.
        formats: The results by format: {"files": {path: digest}, "part": what its file about the
            whole run needs}.
        chunk: Digest of the chunk that it was labelled in.
    """

    image: str
    stem: str
    source: str
    digest: Digest
    width: int
    height: int
    coverage: dict[str, Any]
    formats: dict[str, Any]
    chunk: str = ""

    @property
    def name(self) -> ImageName:
        """Its name."""
        return ImageName(PurePosixPath(self.image), PurePosixPath(self.stem))

    @property
    def files(self) -> dict[str, Digest]:
        """All its files, by path below the folder of the results."""
        return {
            path: Digest(**digest)
            for made in self.formats.values()
            for path, digest in made["files"].items()
        }

    def has(self, name: ImageName, sinks: Mapping[str, Sink]) -> bool:
        """Whether it has everything that these formats make of an image of this name."""
        wanted = {str(file) for sink in sinks.values() for file in sink.files(name)}
        return (
            name == self.name
            and wanted <= self.files.keys()
            and sinks.keys() <= self.formats.keys()
        )

    def is_whole(self, out: Path) -> bool:
        """Whether all its files are in the folder of the results, unchanged."""
        return all(_is(out / file, digest) for file, digest in self.files.items())

    def is_of_today(self) -> bool:
        """Whether its image is still what was labelled; so it is where it cannot be looked at."""
        return not os.path.exists(self.source) or _is(Path(self.source), self.digest)


class Entries:
    """The entries of a folder of results, each a hidden file."""

    def __init__(self, out: Path) -> None:
        """Open the folder of results `out`, which need not exist."""
        self.folder = out / HIDDEN / IMAGES
        self._out = out

    def read(self, image: PurePosixPath) -> Entry | None:
        """Return the entry of an image; None if there is no valid one."""
        return self._load(self._path(image))

    def find(
        self, name: ImageName, digest: Callable[[], Digest], sinks: Mapping[str, Sink]
    ) -> tuple[Entry | None, bool]:
        """Return an image's entry, if it has one, and whether the image is done.

        If only a format is missing there is nothing to remove: that counts as no entry.

        Args:
            name: Its name.
            digest: Digests its file.
            sinks: The formats.
        """
        entry = self.read(name.path)
        if entry is None:
            return None, False
        try:
            same = entry.name == name and entry.digest == digest()
        except OSError:
            same = False
        if not same or not entry.is_whole(self._out):
            return entry, False
        return (entry, True) if entry.has(name, sinks) else (None, False)

    def write(self, entry: Entry) -> None:
        """Write or replace an entry.

        Raises:
            InputError: It cannot be written.
        """
        text = json.dumps(asdict(entry), separators=(",", ":")).encode()
        digest = hashlib.sha256(text).hexdigest().encode()
        write_atomically(self._path(PurePosixPath(entry.image)), b"%b\n%b\n" % (text, digest))

    def remove(self, image: PurePosixPath) -> None:
        """Remove the entry of an image."""
        self._path(image).unlink(missing_ok=True)

    def __iter__(self) -> Iterator[Entry]:
        """Read all valid entries, in the order of their images' paths."""
        loaded = ((path, self._load(path)) for path in self.folder.glob("*.json"))
        order = sorted((entry.image, path) for path, entry in loaded if entry)
        for _, path in order:
            entry = self._load(path)
            if entry:
                yield entry

    def _path(self, image: PurePosixPath) -> Path:
        return self._out / entry_file(image)

    def _load(self, path: Path) -> Entry | None:
        try:
            text, digest = read_regular(path, most=_MOST_BYTES).splitlines()
            entry = from_json(Entry, parse_json(text.decode()), "entry")
            sound = self._path(PurePosixPath(entry.image)) == path
            sound = sound and hashlib.sha256(text).hexdigest().encode() == digest
            return entry if sound and all(map(_stays_inside, entry.files)) else None
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None


def entry_file(image: PurePosixPath) -> str:
    """Return the path of an image's entry below the folder of the results."""
    digest = hashlib.sha256(os.fsencode(image.as_posix())).hexdigest()
    return f"{HIDDEN}/{IMAGES}/{digest[:32]}.json"


class FormatParts:
    """The parts of one format, read on demand."""

    def __init__(self, entries: Entries, format: str) -> None:
        """Choose a format by name."""
        self._entries, self._format = entries, format

    def __iter__(self) -> Iterator[Part]:
        """Iterate over the images that the format has a part of, in the order of their paths."""
        for entry in self._entries:
            if self._format in entry.formats:
                part = entry.formats[self._format]["part"]
                yield Part(entry.name, entry.width, entry.height, part)


def _stays_inside(path: str) -> bool:
    """Whether a path from a file stays inside the folder, because such files may be removed."""
    return not PurePosixPath(path).is_absolute() and ".." not in Path(path).parts


def _is(path: Path, digest: Digest) -> bool:
    try:
        return path.stat().st_size == digest.bytes and Digest.of_file(path) == digest
    except OSError:
        return False
