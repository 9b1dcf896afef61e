"""Labels the images of one chunk, which share batches with each other and with no others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from lhtclip.batch.entries import Digest
from lhtclip.batch.reading import Content, Source
from lhtclip.errors import InputError
from lhtclip.formats.sink import Sink
from lhtclip.segmentation import Segmentation
from lhtclip.segmenter import Segmenter
from lhtclip.text.vocabulary import Vocabulary

Labelled = tuple[Source, Digest, Segmentation | InputError]


def maps_of(sinks: Mapping[str, Sink]) -> tuple[str, ...]:
    """Return the names of the maps that formats need in addition to labels and scores."""
    return tuple(sorted({name for sink in sinks.values() for name in sink.maps}))


def label_chunk(
    segmenter: Segmenter,
    vocabulary: Vocabulary,
    images: Iterable[tuple[Source, Content]],
    *,
    maps: Sequence[str] = (),
) -> Iterator[Labelled]:
    """Label the wanted images of a chunk, in order but for those that are refused.

    Args:
        segmenter: The segmenter.
        vocabulary: The classes.
        images: The images of the chunk.
        maps: What the results hold in addition to labels and scores; see `maps_of`.

    Yields:
        The image, the digest of its file, and its labels or the reason why there are none.
    """
    refused: list[Labelled] = []
    items = (((source, content.digest), content.pixels) for source, content in images)

    def refuse(key: tuple[Source, Digest], error: InputError) -> None:
        refused.append((*key, error))

    for (source, digest), encoded in segmenter.encode_items(items, on_error=refuse):
        if source.wanted:
            try:
                result = encoded.segment(vocabulary)
                result = replace(result, maps=encoded.maps(maps, vocabulary))
            except InputError as error:
                yield source, digest, error
            else:
                yield source, digest, result
    yield from (each for each in refused if each[0].wanted)
