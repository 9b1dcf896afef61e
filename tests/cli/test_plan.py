from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lhtclip.batch.plan import check_folder, parse_formats, plan_jobs, slugs_of
from lhtclip.errors import InputError, UnknownNameError


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


def test_formats() -> None:
    assert parse_formats("scores, labels,scores") == ("scores", "labels")
    with pytest.raises(UnknownNameError, match="Available: labels"):
        parse_formats("labels,")


def test_outputs_of_all_formats(tmp_path: Path) -> None:
    source = touch(tmp_path / "in/one.v2.jpg")
    (job,) = plan_jobs(
        [str(source)],
        tmp_path / "out",
        formats=("labels", "overlay", "scores", "binary"),
        names=("cat", "sky"),
    )
    assert [path.name for path in job.files] == [
        "one.v2.png",
        "one.v2.overlay.jpg",
        "one.v2.scores.npz",
        "one.v2.cat.mask.png",
        "one.v2.sky.mask.png",
    ]
    assert not job.done
    for path in job.files:
        assert not job.done
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert job.done


def test_an_image_given_twice_is_one_job(tmp_path: Path) -> None:
    source = touch(tmp_path / "in/one.jpg")
    given = [str(tmp_path / "in"), str(source), str(tmp_path / "in/*.jpg")]
    jobs = plan_jobs(given, tmp_path / "out", formats=("labels",), names=("cat",))
    assert [job.source for job in jobs] == [source]


def test_names_in_different_folders_do_not_clash(tmp_path: Path) -> None:
    touch(tmp_path / "in/a/one.jpg")
    touch(tmp_path / "in/b/one.jpg")
    jobs = plan_jobs([str(tmp_path / "in/*")], tmp_path / "out", formats=("labels",), names=("x",))
    assert [job.files[0].relative_to(tmp_path / "out") for job in jobs] == [
        Path("a/one.png"),
        Path("b/one.png"),
    ]


def test_formats_that_do_not_clash_are_allowed(tmp_path: Path) -> None:
    touch(tmp_path / "in/one.jpg")
    touch(tmp_path / "in/one.x.mask.jpg")
    with pytest.raises(InputError, match="would both become"):
        plan_jobs(
            [str(tmp_path / "in")], tmp_path / "out", formats=("labels", "binary"), names=("x",)
        )
    formats = ("labels", "overlay")
    plan_jobs([str(tmp_path / "in")], tmp_path / "out", formats=formats, names=("x",))


def test_a_folder_that_does_not_exist_yet_is_fine(tmp_path: Path) -> None:
    check_folder(tmp_path / "a/b/c")
    assert not (tmp_path / "a").exists()


def test_a_dangling_link_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match="is no folder"):
        check_folder(tmp_path / "out")
