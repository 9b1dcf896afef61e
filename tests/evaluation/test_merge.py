"""Counts of shards add up to those of one run, bit for bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lhtclip.batch.chunks import Shard
from lhtclip.datasets.dataset import Dataset
from lhtclip.datasets.samples import choose_samples
from lhtclip.errors import InputError
from lhtclip.evaluation.merge import merge_evaluations, write_part
from lhtclip.evaluation.published_protocols import protocol_for
from lhtclip.evaluation.report import describe
from lhtclip.evaluation.runner import counts_file, evaluate
from tests.evaluation.runs import drawn_dataset, tiny_segmenter, words

SEGMENTER, PROTOCOL = tiny_segmenter(), protocol_for("voc21", "sclip")


def run(dataset: Dataset, out: Path, shard: Shard | None = None, **options: Any) -> dict[str, Any]:
    evaluation = evaluate(
        SEGMENTER, dataset, words(dataset), folder=out, shard=shard, **({"trimap": 1} | options)
    )
    document = describe(
        evaluation, SEGMENTER, PROTOCOL, model="tiny", published=None, deviations={}
    )
    if shard:
        write_part(out, shard, document)
    return document


def without_time(document: dict[str, Any]) -> dict[str, Any]:
    timed = ("seconds", "images_per_second", "hardware")
    return {name: value for name, value in document.items() if name not in timed}


@pytest.mark.parametrize("count", [1, 2, 5])
def test_shards_count_what_one_run_does(tmp_path: Path, count: int) -> None:
    dataset = choose_samples(drawn_dataset(tmp_path / "set", images=20), seed=3)  # in no order
    whole, out = tmp_path / "whole", tmp_path / "parts"
    alone = run(dataset, whole)
    for number in range(count, 0, -1):
        assert (number == count) or merge_evaluations(out).missing
        run(dataset, out, Shard(number, count))
    merged = merge_evaluations(out)
    assert merged.missing == {}
    assert list(merged.documents[0]) == list(alone)
    assert without_time(merged.documents[0]) == without_time(alone)
    assert json.loads((out / "drawn.json").read_text()) == merged.documents[0]
    with np.load(counts_file(whole, "drawn")) as one, np.load(counts_file(out, "drawn")) as sum_:
        assert set(one.files) == set(sum_.files)
        for name in set(one.files) - {"seconds", "digest"}:
            np.testing.assert_array_equal(one[name], sum_[name])
    assert without_time(run(dataset, out)) == without_time(alone)  # nothing is left to do


def test_a_stopped_shard_goes_on(tmp_path: Path) -> None:
    dataset = drawn_dataset(tmp_path / "set", images=20)

    def stop(running: Any) -> None:
        if running.done == 9:
            raise KeyboardInterrupt

    run(dataset, tmp_path / "out", Shard(2, 2))
    with pytest.raises(KeyboardInterrupt):
        run(dataset, tmp_path / "out", Shard(1, 2), progress=stop)
    assert merge_evaluations(tmp_path / "out").missing == {"drawn": ("1/2",)}
    run(dataset, tmp_path / "out", Shard(1, 2))
    (merged,) = merge_evaluations(tmp_path / "out").documents
    assert without_time(merged) == without_time(run(dataset, tmp_path / "whole"))


def test_shards_that_do_not_belong_together(tmp_path: Path) -> None:
    dataset, out = drawn_dataset(tmp_path / "set", images=10), tmp_path / "out"
    run(dataset, out, Shard(1, 2))
    run(choose_samples(dataset, limit=9), out, Shard(2, 2))
    with pytest.raises(
        InputError, match=r"1/2 and 2/2 of drawn had other settings: settings\.images 10"
    ):
        merge_evaluations(out)
    counts_file(out, "drawn", Shard(2, 2)).with_suffix(".json").write_text("[]")
    with pytest.raises(InputError, match=r"2-of-2\.json is not understood"):
        merge_evaluations(out)
    evaluate(SEGMENTER, dataset, words(dataset), folder=out, trimap=1, overwrite=True)
    assert merge_evaluations(out).documents == ()  # a run of its own replaces the shards
