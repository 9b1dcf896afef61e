"""Runs as a library function: resumed, disturbed, and into folders that hold something."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
from PIL import Image

import lhtclip.formats
from lhtclip import (
    DecodeSettings,
    InputError,
    LabelledImage,
    OutputError,
    Segmentation,
    Segmenter,
    Sink,
    Vocabulary,
    WindowSettings,
    label_files,
)
from lhtclip.batch.folder import locked
from lhtclip.formats.sink import ImageName, Parts
from lhtclip.output.png import decode_labels


class Shares(Sink):
    """A file an image and one about the run; refuses images of one colour."""

    def files(self, image: ImageName) -> Sequence[PurePosixPath]:
        return (image.result(".txt"),)

    def encode(self, image: ImageName, result: Segmentation) -> Iterable[bytes]:
        if result.image is not None and result.image.std() == 0:
            raise InputError("It is of one colour.")
        return (str(result.labels.sum()).encode(),)

    def run_files(self) -> Sequence[PurePosixPath]:
        return (PurePosixPath("all/shares.json"),)

    def part(self, image: ImageName, result: Segmentation) -> Any:
        return result.coverage()

    def assemble(self, parts: Parts) -> Iterable[bytes | Iterable[bytes]]:
        lines = ([str(p.image.path), p.width, p.height, p.content] for p in parts)
        yield (json.dumps(line).encode() + b"\n" for line in lines)


@pytest.fixture(autouse=True)
def _sinks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(lhtclip.formats.SINKS, "shares", Shares)


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Segmenter]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LHTCLIP_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield Segmenter.from_pretrained(
            "bundled",
            dtype="float32",
            templates="plain",
            windows=WindowSettings(short_side=32, window=32, stride=32),
        )


def draw(path: Path, seed: int, size: tuple[int, int] = (48, 32)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST).save(path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for seed, name in enumerate(("a.png", "b/c.png", "b/d.png", "e.png")):
        draw(tmp_path / "photos" / name, seed)
    return tmp_path / "photos"


def files_below(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def skipped(images: Sequence[LabelledImage]) -> list[bool]:
    return [image.skipped for image in images]


def test_a_run_and_its_summary(segmenter: Segmenter, photos: Path, tmp_path: Path) -> None:
    told: list[LabelledImage] = []
    progress: list[tuple[str, int, int]] = []
    summary = label_files(
        photos,
        ["dog", "sky"],
        tmp_path / "out",
        segmenter=segmenter,
        formats=["labels", "shares"],
        on_image=told.append,
        on_progress=lambda *state: progress.append(state),
    )
    assert tuple(told) == summary.images
    assert [image.image for image in told] == sorted(photos.rglob("*.png"))
    assert not summary.failures
    assert summary.files == (tmp_path / "out/all/shares.json",)
    assert progress[0] == ("images", 0, 4)
    assert progress[-1] == ("images", 4, 4)
    second = summary.images[1]
    assert second.outputs["labels"] == (tmp_path / "out/b/c.png",)
    alone = segmenter.segment(second.image, ["dog", "sky"])
    np.testing.assert_array_equal(decode_labels(second.outputs["labels"][0]), alone.labels)
    assert second.coverage == alone.coverage()
    record = json.loads((tmp_path / "out/classes.json").read_text())
    assert record == summary.record
    assert record["settings"] == segmenter.settings()


def test_a_killed_run_ends_like_an_undisturbed_one(
    segmenter: Segmenter, photos: Path, tmp_path: Path
) -> None:
    def run(out: Path, **options: Any) -> Sequence[LabelledImage]:
        formats = ("shares", "labels")
        return label_files(
            photos, "dog, sky", out, segmenter=segmenter, formats=formats, **options
        ).images

    def stop(_: LabelledImage) -> None:
        raise KeyboardInterrupt

    for seed in range(9):  # more than are under way at once
        draw(photos / f"many/{seed}.png", seed)
    run(tmp_path / "whole")
    stopped = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        run(stopped, on_image=stop)
    assert not (stopped / "all").exists()
    (stopped / "b").mkdir(exist_ok=True)
    (stopped / "b/.lhtclip-0123").write_bytes(b"half")  # as kill -9 would leave it
    again = skipped(run(stopped))
    assert any(again)
    assert not all(again)
    assert files_below(stopped) == files_below(tmp_path / "whole")
    assert all(skipped(run(stopped)))
    assert files_below(stopped) == files_below(tmp_path / "whole")


def test_the_file_about_the_run_holds_earlier_runs_too(
    segmenter: Segmenter, photos: Path, tmp_path: Path
) -> None:
    given = {"segmenter": segmenter, "formats": "shares"}
    label_files(photos, "dog, sky", tmp_path / "whole", **given)
    for part in ("e.png", "a.png"):
        label_files(photos / part, "dog, sky", tmp_path / "parts", **given)
    label_files(photos, "dog, sky", tmp_path / "parts", **given)
    shares = "all/shares.json"
    assert (tmp_path / "parts" / shares).read_bytes() == (tmp_path / "whole" / shares).read_bytes()


def test_images_that_are_all_unreadable_now_keep_no_results(
    segmenter: Segmenter, photos: Path, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"segmenter": segmenter, "formats": ("labels", "csv")}
    label_files(photos, "dog, sky", tmp_path / "out", **given)
    images = sorted(photos.rglob("*.png"))
    for path in images:
        path.write_bytes(b"no image")
    again = label_files(photos, "dog, sky", tmp_path / "out", **given)
    assert all(image.error for image in again.images)
    assert not list((tmp_path / "out").rglob("*.png"))
    assert (tmp_path / "out/areas.csv").read_text().count("\n") == 1


@pytest.mark.parametrize("change", ["replaced", "other folder", "torn", "empty", "gone"])
def test_done_is_believed_only_of_the_same_bytes(
    segmenter: Segmenter,
    photos: Path,
    tmp_path: Path,
    change: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    out, given = tmp_path / "out", photos
    label_files(photos, "dog, sky", out, segmenter=segmenter)
    result = out / "b/c.png"
    before = result.read_bytes()
    if change == "replaced":
        draw(photos / "b/c.png", 9, (40, 56))
    elif change == "other folder":
        given = tmp_path / "tuesday"
        shutil.copytree(photos, given)
        draw(given / "b/c.png", 9, (40, 56))
    elif change == "gone":
        result.unlink()
    else:
        result.write_bytes(before[:-1] if change == "torn" else b"")
    again = label_files(given, "dog, sky", out, segmenter=segmenter)
    assert skipped(again.images) == [True, False, True, True]
    assert "b/c.png" in caplog.text
    if change in ("replaced", "other folder"):
        assert decode_labels(result).shape == (56, 40)
    else:
        assert result.read_bytes() == before


def test_other_words_are_refused_and_dropped_by_overwrite(
    segmenter: Segmenter, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    label_files(photos, "dog, sky", out, segmenter=segmenter)
    with pytest.raises(InputError, match="other words"):
        label_files(photos / "a.png", "dog, car", out, segmenter=segmenter)
    strict = segmenter.replace(decoding=DecodeSettings(logit_scale=50.0))
    with pytest.raises(InputError, match=r"decoding\.logit_scale 40\.0, now 50\.0"):
        label_files(photos, "dog, sky", out, segmenter=strict)
    label_files(photos / "a.png", "dog, car", out, segmenter=segmenter, overwrite=True)
    assert sorted(name for name in files_below(out) if ".lhtclip" not in name) == [
        "a.png",
        "classes.json",
    ]


def test_an_image_that_cannot_be_written_ends_nothing(
    segmenter: Segmenter, photos: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (48, 32), "grey").save(photos / "b/c.png")
    (photos / "b/d.png").write_bytes(b"no picture")
    out = tmp_path / "out"
    formats = ("labels", "shares")
    summary = label_files(photos, "dog, sky", out, segmenter=segmenter, formats=formats)
    one, two = summary.failures
    assert "c.png: It is of one colour." in str(one.error)
    assert "d.png is not an image" in str(two.error)
    assert not (out / "b").exists()  # all files of an image, or none
    assert len((out / "all/shares.json").read_text().splitlines()) == 2


def test_a_name_without_room_for_a_suffix_ends_nothing(
    segmenter: Segmenter, photos: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (48, 32), "grey").save(photos / f"{'n' * 245}.png")
    formats = ("labels", "overlay", "binary")
    summary = label_files(
        photos, "dog, sky", tmp_path / "out", segmenter=segmenter, formats=formats
    )
    (failure,) = summary.failures
    assert "too long" in str(failure.error)
    assert len(summary.images) > 1


def test_two_runs_cannot_share_a_folder(segmenter: Segmenter, photos: Path, tmp_path: Path) -> None:
    with locked(tmp_path / "out"), pytest.raises(OutputError, match="Another run is writing"):
        label_files(photos, "dog, sky", tmp_path / "out", segmenter=segmenter)
    assert not (tmp_path / "out").exists()


def test_arguments_that_do_not_go_together(segmenter: Segmenter, tmp_path: Path) -> None:
    words = Vocabulary.of("dog, sky")
    with pytest.raises(InputError, match="not both"):
        label_files("x", words, tmp_path, segmenter=segmenter, config=segmenter.config)
    with pytest.raises(InputError, match="background"):
        label_files("x", words, tmp_path, segmenter=segmenter, background="wall")
