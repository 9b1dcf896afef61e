"""Chunks and shards: what shares a batch does not depend on interruptions or machines."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from lhtclip import InputError
from lhtclip.batch.chunks import CHUNK, Shard, chunks_of
from lhtclip.batch.plan import Job
from lhtclip.batch.reading import sources_of
from lhtclip.formats.sink import ImageName


def job(name: str) -> Job:
    path = PurePosixPath(name)
    return Job(Path("photos", name), ImageName(path, path.with_suffix("")))


JOBS = [job(f"{number:03d}.png") for number in range(3 * CHUNK - 1)]


def test_every_job_is_in_one_shard_of_whole_chunks() -> None:
    chunks = chunks_of(JOBS)
    assert [each for chunk in chunks for each in chunk.jobs] == JOBS
    for count in (1, 2, 5):
        shares = [Shard(number, count).of(chunks) for number in range(1, count + 1)]
        assert sorted(chunk.digest for share in shares for chunk in share) == sorted(
            chunk.digest for chunk in chunks
        )
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("text", ["0/4", "5/4", "4", "1/", "a/b", "1/0", "-1/4", "1/4/4", "1.5/4"])
def test_shards_that_do_not_exist(text: str) -> None:
    with pytest.raises(InputError, match="1/4"):
        Shard.parse(text)


def test_an_interrupted_chunk_is_encoded_whole_unless_nothing_is_left_in_it_to_read() -> None:
    (chunk, *_), new = chunks_of(JOBS), JOBS[3]
    done = {each.source: chunk.digest for each in chunk.jobs if each != new}
    whole = sources_of(chunk, done, lambda _: True)
    assert [source.job for source in whole] == list(chunk.jobs)
    assert [source.job for source in whole if source.wanted] == [new]
    assert [each.job for each in sources_of(chunk, done, lambda _: False)] == [new]
    elsewhere = dict.fromkeys(done, "another chunk")  # images were added before them
    assert [each.job for each in sources_of(chunk, elsewhere, lambda _: True)] == [new]
    fresh = sources_of(chunk, {}, lambda _: pytest.fail("nothing was interrupted"))
    assert [source.wanted for source in fresh] == [True] * CHUNK
