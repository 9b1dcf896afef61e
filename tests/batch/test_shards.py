"""Runs of several shards end with the files of one run, byte for byte, whatever happens to them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image
from torch import Tensor

from lhtclip import InputError, LabelledImage, OutputError, Segmenter, WindowSettings, label_files
from lhtclip.batch.chunks import Shard
from lhtclip.batch.folder import joined, locked
from lhtclip.batch.merge import merge_shards
from lhtclip.batch.plan import plan_jobs
from lhtclip.batch.shards import Plan
from lhtclip.encoder import PatchEncoder
from lhtclip.formats import SINKS, open_sinks
from lhtclip.text.vocabulary import Vocabulary

FORMATS = [name for name in SINKS if name != "parquet" or find_spec("pyarrow")]
IMAGES = 20


class Neighbourly:
    """Changes what it finds in a window by what else is in the batch, as no kernel should."""

    engine = "torch test"

    def __init__(self, encoder: PatchEncoder) -> None:
        self._encoder = encoder

    def __call__(self, pixels: Tensor) -> Tensor:
        found = self._encoder(pixels)
        return found + found.mean(dim=(0, 1, 2))


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Segmenter]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LHTCLIP_CACHE", str(tmp_path_factory.mktemp("cache")))
        whole = Segmenter.from_pretrained(
            "bundled",
            dtype="float32",
            templates="plain",
            windows=WindowSettings(short_side=32, window=32, stride=32),
        )
        yield Segmenter(
            whole.checkpoint,
            whole.encoder,
            whole.texts,
            windows=whole.windows,
            runner=cast(PatchEncoder, Neighbourly(whole.encoder)),
        )


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for seed in range(IMAGES):
        path = folder / "ab"[seed % 2] / f"{seed:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        blocks = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(blocks).resize((48, 32), Image.Resampling.NEAREST).save(path)
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    """All results of a run, without what shards and merges add."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".lhtclip" not in path.parts and path.name != "manifest.jsonl"
    }


def states_of(out: Path) -> dict[str, str]:
    lines = map(json.loads, (out / "manifest.jsonl").read_text().splitlines())
    return {line["image"]: line["state"] for line in lines}


def stop_after(images: int) -> Any:
    seen: list[LabelledImage] = []

    def stop(image: LabelledImage) -> None:
        seen.append(image)
        if len(seen) == images:
            raise KeyboardInterrupt

    return stop


@pytest.mark.parametrize("count", [1, 2, 5])
def test_shards_write_what_one_run_does(
    segmenter: Segmenter, photos: Path, tmp_path: Path, count: int
) -> None:
    (photos / "a/broken.png").write_bytes(b"no picture")
    formats = FORMATS if count == 2 else ("labels", "coco")
    given: dict[str, Any] = {"segmenter": segmenter, "formats": formats}
    label_files(photos, "dog, sky", tmp_path / "whole", **given)
    out = tmp_path / "parts"
    for number in range(count, 0, -1):
        label_files(photos, "dog, sky", out, shard=Shard(number, count), **given)
        assert not (out / "coco").exists()
    merged = merge_shards(out)
    assert (merged.done, list(merged.failed), merged.missing) == (IMAGES, ["a/broken.png"], [])
    assert "not an image" in merged.failed["a/broken.png"]
    assert files_of(out) == files_of(tmp_path / "whole")
    assert states_of(out) == {
        path.relative_to(photos).as_posix(): "failed" if path.stem == "broken" else "done"
        for path in sorted(photos.rglob("*.png"))
    }
    assert merge_shards(out) == merged


@pytest.mark.parametrize("images", [1, 5, 9])
def test_interrupted_shards_end_with_the_same_bytes(
    segmenter: Segmenter, photos: Path, tmp_path: Path, images: int
) -> None:
    given: dict[str, Any] = {"segmenter": segmenter, "formats": ("labels", "scores", "coco")}
    label_files(photos, "dog, sky", tmp_path / "whole", **given)
    out, shards = tmp_path / "parts", [Shard(1, 2), Shard(2, 2)]
    with pytest.raises(KeyboardInterrupt):
        label_files(photos, "dog, sky", out, shard=shards[0], on_image=stop_after(images), **given)
    (out / "a/.lhtclip-0123").write_bytes(b"half")  # as kill -9 would leave it
    merged = merge_shards(out)
    assert merged.missing
    assert "2/2" in merged.shards
    assert not (out / "coco").exists()
    for shard in shards:
        label_files(photos, "dog, sky", out, shard=shard, **given)
    again = label_files(photos, "dog, sky", out, shard=shards[0], **given)
    assert all(image.skipped for image in again.images)
    assert merge_shards(out).done == IMAGES
    assert files_of(out) == files_of(tmp_path / "whole")


def test_a_merge_looks_at_images_and_records_again(
    segmenter: Segmenter, photos: Path, tmp_path: Path
) -> None:
    out, given = tmp_path / "parts", dict[str, Any](segmenter=segmenter, formats="csv")
    shards = [Shard(1, 2), Shard(2, 2)]
    for shard in shards:
        label_files(photos, "dog, sky", out, shard=shard, **given)
    assert merge_shards(out).missing == []
    first, second, third = sorted(photos.rglob("*.png"))[:3]
    second.write_bytes(third.read_bytes())
    record = next(
        path
        for path in (out / ".lhtclip/images").glob("*.json")
        if str(first) in path.read_text()  # with its absolute path
    )
    record.write_text(record.read_text().replace('"sky":', '"sky":0.5,"was":', 1))
    changed = [path.relative_to(photos).as_posix() for path in (first, second)]
    assert merge_shards(out).missing == changed
    for shard in shards:
        label_files(photos, "dog, sky", out, shard=shard, **given)
    assert merge_shards(out).missing == []
    first.unlink()  # what is not there cannot be looked at
    assert merge_shards(out).missing == []


def without_its_end(text: str) -> str:
    return text.rsplit("\n", 3)[0] + "\n"


@pytest.mark.parametrize("spoil", [without_its_end, lambda _: "["])
def test_a_damaged_plan_is_not_merged(
    segmenter: Segmenter, photos: Path, tmp_path: Path, spoil: Callable[[str], str]
) -> None:
    label_files(photos, "dog, sky", tmp_path / "out", segmenter=segmenter, shard=Shard(1, 1))
    plan = tmp_path / "out/.lhtclip/plan.jsonl"
    plan.write_text(spoil(plan.read_text()))
    with pytest.raises(InputError, match=r"plan.jsonl is not understood\. Delete it, and run"):
        merge_shards(tmp_path / "out")
    plan.unlink()
    label_files(photos, "dog, sky", tmp_path / "out", segmenter=segmenter, shard=Shard(1, 1))
    assert merge_shards(tmp_path / "out").done == IMAGES


def test_a_run_that_is_no_shard_ends_shards_too(
    segmenter: Segmenter, photos: Path, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"segmenter": segmenter, "formats": ("labels", "csv")}
    label_files(photos, "dog, sky", tmp_path / "whole", **given)
    out = tmp_path / "parts"
    label_files(photos, "dog, sky", out, shard=Shard(2, 3), **given)
    summary = label_files(photos, "dog, sky", out, **given)
    assert any(image.skipped for image in summary.images)
    assert files_of(out) == files_of(tmp_path / "whole")
    with pytest.raises(InputError, match="no run of shards"):
        merge_shards(out)


def test_a_result_that_was_lost_is_missing(
    segmenter: Segmenter, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for number in (1, 2):
        label_files(photos, "dog, sky", out, segmenter=segmenter, shard=Shard(number, 2))
    (out / "b/19.png").write_bytes(b"torn")
    merged = merge_shards(out)
    assert merged.missing == ["b/19.png"]
    assert merged.shards == ("1/2",)  # the third chunk
    assert states_of(out)["b/19.png"] == "missing"


def test_what_runs_at_the_same_time(segmenter: Segmenter, photos: Path, tmp_path: Path) -> None:
    out, vocabulary = tmp_path / "out", Vocabulary.of("dog, sky")
    sinks = open_sinks("labels", vocabulary)
    jobs = plan_jobs(photos, out, sinks)
    plan = Plan.of(jobs, vocabulary, sinks)
    given: dict[str, Any] = {"segmenter": segmenter, "out": out, "classes": vocabulary}
    with joined(out, Shard(1, 2), plan, jobs):
        label_files(photos, shard=Shard(2, 2), **given)
        with pytest.raises(OutputError, match=r"1/2 is writing into .* already"):
            label_files(photos, shard=Shard(1, 2), **given)
        with pytest.raises(OutputError, match="1-of-2 is writing"):
            label_files(photos, **given)
        with pytest.raises(OutputError, match="1-of-2 is writing"):
            merge_shards(out)
        with pytest.raises(OutputError, match="has 20 images and this one 10"):
            label_files(photos / "a", shard=Shard(2, 2), **given)
    with locked(out), pytest.raises(OutputError, match="Another run is writing"):
        merge_shards(out)


def test_more_shards_than_chunks(segmenter: Segmenter, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    summary = label_files(photos, "dog, sky", out, segmenter=segmenter, shard=Shard(9, 9))
    assert summary.images == ()
    assert merge_shards(out).shards == ("1/9", "2/9", "3/9")


def test_a_folder_that_grew_is_planned_again(
    segmenter: Segmenter, photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    given: dict[str, Any] = {"segmenter": segmenter, "shard": Shard(1, 1)}
    label_files(photos / "a", "dog, sky", out, **given)
    label_files(photos, "dog, sky", out, **given)
    assert "planned for 10 images, now for 20" in caplog.text
    assert merge_shards(out).done == IMAGES


def test_a_shard_cannot_overwrite(segmenter: Segmenter, photos: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {"segmenter": segmenter, "shard": Shard(1, 2), "overwrite": True}
    with pytest.raises(InputError, match="--overwrite"):
        label_files(photos, "dog, sky", tmp_path / "out", **given)
    with pytest.raises(InputError, match="--shard I/N"):
        merge_shards(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
