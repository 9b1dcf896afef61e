from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lhtclip.batch.plan import Job, check_case, check_folder, plan_jobs
from lhtclip.errors import InputError, UnknownNameError
from lhtclip.formats import check_formats, open_sinks
from lhtclip.formats.binary import slugs_of
from lhtclip.text.vocabulary import Vocabulary


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (1, 1)).save(path)
    return path


@pytest.mark.parametrize(
    ("names", "slugs"),
    [
        (["Man in a shirt", "road"], ("man-in-a-shirt", "road")),
        (["a b", "a-b", "a/b"], ("a-b", "a-b-1", "a-b-2")),
        (["🐈", "../../etc"], ("class-0", "etc")),
        (["a-b-1", "a b", "a-b"], ("a-b-1", "a-b", "a-b-2")),
        (["Ärger", "猫"], ("ärger", "猫")),
        (["x" * 300], ("x" * 40,)),
    ],
)
def test_slugs(names: list[str], slugs: tuple[str, ...]) -> None:
    assert slugs_of(names) == slugs


@given(st.lists(st.text(min_size=1), unique=True, max_size=20))
def test_slugs_are_different_and_safe(names: list[str]) -> None:
    slugs = slugs_of(names)
    assert len(set(slugs)) == len(names)
    assert all(slug and not set(slug) & set("/\\.:\0 ") for slug in slugs)


def plan(
    given: list[Path | str], out: Path, formats: str = "labels", words: str = "x"
) -> list[Job]:
    return plan_jobs(given, out, open_sinks(formats, Vocabulary.of(words)))


def test_formats() -> None:
    assert check_formats("scores, labels,scores") == ("scores", "labels")
    assert check_formats(["labels"]) == ("labels",)
    with pytest.raises(UnknownNameError, match="Available: labels"):
        check_formats("labels,")
    with pytest.raises(InputError, match="No format"):
        check_formats([])


def test_outputs_of_all_formats(tmp_path: Path) -> None:
    source = touch(tmp_path / "in/one.v2.jpg")
    (job,) = plan([source], tmp_path / "out")
    sinks = open_sinks("labels,overlay,scores,binary", Vocabulary.of("cat, sky"))
    assert [str(file) for sink in sinks.values() for file in sink.files(job.name)] == [
        "one.v2.png",
        "one.v2.overlay.jpg",
        "one.v2.scores.npz",
        "one.v2.cat.mask.png",
        "one.v2.sky.mask.png",
    ]


def test_an_image_given_twice_is_one_job(tmp_path: Path) -> None:
    source = touch(tmp_path / "in/one.jpg")
    given = [tmp_path / "in", source, str(tmp_path / "in/*.jpg")]
    assert [job.source for job in plan(given, tmp_path / "out")] == [source]


def test_names_in_different_folders_do_not_clash(tmp_path: Path) -> None:
    touch(tmp_path / "in/a/one.jpg")
    touch(tmp_path / "in/b/one.jpg")
    jobs = plan([str(tmp_path / "in/*")], tmp_path / "out")
    assert [str(job.name.stem) for job in jobs] == ["a/one", "b/one"]
    assert [str(job.name.path) for job in jobs] == ["a/one.jpg", "b/one.jpg"]


def test_twins_beside_each_other_keep_their_suffix(tmp_path: Path) -> None:
    for name in ("boat.jpg", "boat.png", "quay.jpg"):
        touch(tmp_path / "in" / name)
    jobs = plan([tmp_path / "in"], tmp_path / "out")
    assert [job.name.result(".png").name for job in jobs] == [
        "boat.jpg.png",
        "boat.png.png",
        "quay.png",
    ]


def test_an_image_named_as_the_result_of_another(tmp_path: Path) -> None:
    names = ["one.jpg", "one.jpg.png", "one.png", "one.png.jpg.png", "one.png.png", "two.jpg.png"]
    for name in names:
        touch(tmp_path / "in" / name)
    jobs = plan([tmp_path / "in"], tmp_path / "out")
    assert [str(job.name.stem) for job in jobs] == [*names[:3], "one.png.jpg", names[4], "two.jpg"]


def test_names_that_differ_in_case_only(tmp_path: Path) -> None:
    for name in ("a/Boat.jpg", "b/boat.jpg", "b/quay.jpg"):
        touch(tmp_path / name)
    jobs = plan([f"{tmp_path}/a/*", f"{tmp_path}/b/*"], tmp_path / "out")
    if len({job.name.stem for job in jobs}) == 3:
        check_case(jobs, tmp_path / "out")
        (tmp_path / "out/.LHTCLIP").mkdir(parents=True)  # what a folder without case would show
        with pytest.raises(InputError, match=r"Boat\.jpg and .*boat\.jpg .*case.*Rename one"):
            check_case(jobs, tmp_path / "out")
        check_case(jobs[1:], tmp_path / "out")


def test_two_images_of_one_name_from_two_folders_clash(tmp_path: Path) -> None:
    first, second = touch(tmp_path / "a/one.jpg"), touch(tmp_path / "b/one.jpg")
    with pytest.raises(InputError, match="would both become"):
        plan([first, second], tmp_path / "out")


def test_formats_that_do_not_clash_are_allowed(tmp_path: Path) -> None:
    touch(tmp_path / "in/one.jpg")
    touch(tmp_path / "in/one.x.mask.jpg")
    with pytest.raises(InputError, match="would both become"):
        plan([tmp_path / "in"], tmp_path / "out", "labels,binary")
    plan([tmp_path / "in"], tmp_path / "out", "labels,overlay")


def test_a_folder_that_does_not_exist_yet_is_fine(tmp_path: Path) -> None:
    check_folder(tmp_path / "a/b/c")
    assert not (tmp_path / "a").exists()


def test_a_dangling_link_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match="is not a folder"):
        check_folder(tmp_path / "out")
