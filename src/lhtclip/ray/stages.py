"""The three stages of a run, as Ray Data calls them: read, label, write.

Rows between them hold a chunk of images as one pickled value, because images of different sizes fit
into no column of a table.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from lhtclip.batch.entries import Digest
from lhtclip.batch.labelling import label_chunk
from lhtclip.batch.plan import Job
from lhtclip.batch.reading import Content, Source, sources_of
from lhtclip.config import SegmenterConfig
from lhtclip.errors import InputError
from lhtclip.ray.results import Outcome, Results
from lhtclip.ray.threads import use_threads
from lhtclip.ray.units import Read, Unit
from lhtclip.segmentation import Segmentation
from lhtclip.segmenter import Segmenter
from lhtclip.text.vocabulary import Vocabulary

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class LoadedChunk:
    """Images of a chunk to label, and the outcomes of its other images."""

    digest: str
    images: list[tuple[Source, Content]]
    outcomes: list[Outcome]


@dataclass(frozen=True, slots=True, eq=False)
class LabelledChunk:
    """Labels of a chunk to write, and the outcomes of its other images."""

    digest: str
    results: list[tuple[Job, Digest, Segmentation]]
    outcomes: list[Outcome]


def row_of(value: object) -> Row:
    """Put a value into a row."""
    return {"chunk": pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)}


def value_of(row: Row) -> Any:
    """Take the value out of a row, which this program has written."""
    return pickle.loads(row["chunk"])  # noqa: S301 # nosec B301


def read_images(row: Row, *, results: Results, config: SegmenterConfig) -> Iterator[Row]:
    """Read and decode the images of a unit that are not done yet, chunk by chunk."""
    unit: Unit = value_of(row)
    for chunk, read in unit.chunks():
        done = results.done(chunk, read)
        outcomes = results.before(chunk, done)
        images: list[tuple[Source, Content]] = []
        if len(done) < len(chunk.jobs):
            for source in sources_of(chunk, done, _readable(read, config)):
                content = read.content(source.job, config)
                if isinstance(content, Content):
                    images.append((source, content))
                elif source.wanted:
                    outcomes.append(Outcome(source.job.name.path.as_posix(), reason=content))
        yield row_of(LoadedChunk(chunk.digest, images, outcomes))


class LabelImages:
    """Labels chunk after chunk; loads the model once."""

    def __init__(
        self,
        config: SegmenterConfig,
        vocabulary: Vocabulary,
        threads: int | None = None,
        maps: tuple[str, ...] = (),
    ) -> None:
        """Load the model and embed the prompts."""
        use_threads(threads)
        self._vocabulary, self._maps = vocabulary, maps
        self._segmenter = Segmenter.from_config(config)
        self._segmenter.texts.encode(vocabulary.queries)

    def __call__(self, row: Row) -> Row:
        """Label a chunk."""
        loaded: LoadedChunk = value_of(row)
        labelled = LabelledChunk(loaded.digest, [], list(loaded.outcomes))
        found = label_chunk(self._segmenter, self._vocabulary, loaded.images, maps=self._maps)
        for source, digest, result in found:
            if isinstance(result, InputError):
                reason = f"{source.job.source}: {result}"
                labelled.outcomes.append(Outcome(source.job.name.path.as_posix(), reason=reason))
            else:
                labelled.results.append((source.job, digest, result))
        return row_of(labelled)


def write_results(row: Row, *, results: Results) -> Iterator[Row]:
    """Write the results of a chunk, and yield the outcome of each image.

    What keeps everything else from being written too travels as a value: Ray would wrap an error.
    """
    labelled: LabelledChunk = value_of(row)
    try:
        for outcome in results.write(labelled.digest, labelled.results, labelled.outcomes):
            yield {**asdict(outcome), "fatal": ""}
    except InputError as error:
        yield {"image": "", "skipped": False, "reason": "", "fatal": str(error)}


def _readable(read: Read, config: SegmenterConfig) -> Any:
    def readable(job: Job) -> bool:
        return isinstance(read.content(job, config), Content)

    return readable
