"""Words as people give them: known lists are read, what is cut or broken is said."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from lhtclip.checkpoints.checkpoint import load_checkpoint
from lhtclip.errors import InputError
from lhtclip.text.cache import TextCache
from lhtclip.text.embeddings import TextEncoder
from lhtclip.text.templates import resolve_templates
from lhtclip.text.vocabulary import Vocabulary, read_classes_file

ADE = "Idx\tRatio\tStuff\tName\n1\t0.1\t1\twall\n2\t0.1\t1\tbuilding;edifice\n"
CVAT = "# label:color_rgb:parts:actions\nbackground:0,0,0::\nroad:7,8,9::\n"
YOLO = "path: ../data\nnc: 2\nnames:\n  0: car\n  1: road\nval: images\n"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("0: road\n1: sidewalk\n", ["road", "sidewalk"]),
        ("1\twall\n2\tsky\n", ["wall", "sky"]),
        ("0,road\n1,sky\n", ["road", "sky"]),
        ("1. wall\n2. sky\n", ["wall", "sky"]),
        ("__ignore__\n_background_\ncat\n", ["cat"]),
        ("names:\n  - car\n  - road\n", ["car", "road"]),
        ("names: [car, 'road']\n", ["car", "road"]),
        (YOLO, ["car", "road"]),
        ("- car\n- road\n", ["car", "road"]),
        ("road:07::\nsky:01::\n", ["road", "sky"]),
        (CVAT, ["background", "road"]),
        ('"car"\n"road"\n', ["car", "road"]),
        (ADE, ["wall", "building"]),
        ('["car", "road"]', ["car", "road"]),
        ('{"0": "car", "1": "road"}', ["car", "road"]),
        ('{"id2label": {"0": "car"}}', ["car"]),
        ('{"classes": [{"index": 0, "name": "car"}]}', ["car"]),
        ('{"categories": [{"id": 1, "name": "car"}, {"id": 2, "name": "road"}]}', ["car", "road"]),
        ('[{"name": "car", "attributes": []}]', ["car"]),
        ('{"road": 1, "car": 0}', ["car", "road"]),
        ("names: {0: car, 1: road}\n", ["car", "road"]),
        ("names:\n  0: car  # red\n  1: road\n", ["car", "road"]),
        ("item {\n id: 1\n name: 'car'\n}\nitem {\n id: 2\n name: 'road'\n}\n", ["car", "road"]),
        ("0 car\n1 road\n", ["car", "road"]),
        ("car 0\nroad 1\n", ["car", "road"]),
        ("car\t0\nroad\t1\n", ["car", "road"]),
        ("(0) car\n(1) road\n", ["car", "road"]),
        ("* car\n* road\n", ["car", "road"]),
        ("names: ['car',\n  'road']\n", ["car", "road"]),
        ("labels:\n  0 : 'car'\n  1 : 'no'\n", ["car", "no"]),
        ("categories:\n - name: car\n   id: 0\n - name: road\n   id: 1\n", ["car", "road"]),
        ("item { id: 1 name: 'car' }\nitem { id: 2 name: 'road' }\n", ["car", "road"]),
        ('{"labels": [{"name": "object--car", "readable": "Car"}]}', ["Car"]),
    ],
)
def test_known_lists_are_read_and_said(
    text: str, names: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "classes.txt"
    path.write_text(text)
    assert [synonyms[0] for synonyms in read_classes_file(path)] == names
    assert "classes.txt" in caplog.text


def test_a_first_line_that_looks_like_a_header_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "classes.csv").write_text("name\ncar\nroad\n")
    assert read_classes_file(tmp_path / "classes.csv") == [("name",), ("car",), ("road",)]
    assert "'name'. If that is the header" in caplog.text


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("car\nroad", "line breaks"),
        ("car; road; sky", "Semicolon"),
        ('["car", "road"]', "brackets or quotes"),
        ("'car', 'road'", "brackets or quotes"),
        ("classes.txt", "--classes-file"),
        (["car", "\ufeff"], "Empty"),
        (["car", "c\u00adar\u200b"], "'car' was given twice"),
    ],
)
def test_classes_that_were_meant_otherwise_are_refused(given: Any, named: str) -> None:
    with pytest.raises(InputError, match=named):
        Vocabulary.of(given)


def test_a_template_without_a_place_for_the_name_says_how_to_write_one() -> None:
    with pytest.raises(InputError, match=r"'a \{name\}'.*such as 'a photo of a \{\}\.'"):
        resolve_templates("a {name}")


def test_templates_of_any_iterable_are_taken() -> None:
    assert resolve_templates(f"{each} {{}}" for each in "ab") == ("a {}", "b {}")  # pyright: ignore[reportArgumentType]


def test_underscores_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        assert Vocabulary.of("traffic_lamp, road").names == ("traffic_lamp", "road")
    assert caplog.text.count("write 'traffic lamp'") == 1


def test_classes_with_what_belongs_to_them() -> None:
    names = ("seat (car)", "'70s car", "No. 7", "t-shirt", "C#")
    assert Vocabulary.of(", ".join(names)).names == names


def test_files_are_called_by_their_option(tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text("car, auto\n")
    with pytest.raises(InputError, match=r"of aliases \(--aliases\).*missing.txt"):
        read_classes_file(tmp_path / "missing.txt", what="file of aliases (--aliases)")
    for path in (None, 5, "a\0b"):
        with pytest.raises(InputError, match="The classes file"):
            read_classes_file(path)  # pyright: ignore[reportArgumentType]


def test_plain_lists_are_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "classes.txt"
    path.write_text("# mine\n3 people\ncar|auto\n747\nratio 3:1\nphase 1\n")
    names = [("3 people",), ("car", "auto"), ("747",), ("ratio 3:1",), ("phase 1",)]
    assert read_classes_file(path) == names
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("7: road\n11: sky\n", "7, 11"),
        ('{"7": "road"}', "7"),
        ('{"car": "x"}', "not a list of names"),
        ("id\tname\n3\tcar\n", "columns"),
        ('{"0": "car", "0": "road"}', "'0' is there twice"),
        ("-1: void\n0: car\n", "-1, 0"),
        ("car; auto\nroad; street\n", "semicolon"),
        ("names: ['car, auto', 'road']\n", "Comma"),
        ("labels:\n  0: car\n  10: road\n", "0, 10"),
        ("names: [car\nroad\n", "looks like YAML"),
        ("names: " + "[" * 5000, "looks like YAML"),
        ('["car",\n', "begins like JSON"),
        ("0 road 128 64 128\n1 sky 1 2 3\n", "numbers after the name"),
        ("0\n1\n2\n", "only numbers"),
        ("n01440764\nn01443537\n", "WordNet"),
        ("- car\nroad\n", "bullet"),
        ("car  # red\n", "comment"),
        ("things:\ncar\n", "colon"),
        ("0 0 0 car\n255 0 0 road\n", "numbers before the name"),
        ("<Label value='car'/>\n", "markup"),
        ('["a", 3]', "not a list of names"),
    ],
)
def test_lists_that_leave_a_question_are_refused(text: str, named: str, tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=named):
        read_classes_file(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no FIFOs")
def test_words_from_standard_input_but_from_no_fifo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"car\nroad\n")))
    assert read_classes_file("-") == [("car",), ("road",)]
    os.mkfifo(tmp_path / "classes")
    for path in (tmp_path / "classes", Path("/dev/zero")):
        with pytest.raises(InputError, match="only regular files"):
            read_classes_file(path)


def test_what_is_cut_of_a_prompt_is_said_each_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint = load_checkpoint("bundled")
    long = "a very " + "long and winding " * 40
    texts = TextEncoder.of(checkpoint, templates="plain", cache=tmp_path)
    for _ in range(2):  # the second time out of the cache
        texts = TextEncoder.of(checkpoint, templates="plain", cache=tmp_path)
        river, wall = texts.encode([f"{long}river", f"{long}wall"])
        assert torch.equal(river, wall)
        assert caplog.text.count("is not read") == 2
        assert "winding river' is not read" in caplog.text
        caplog.clear()
    texts.encode(["car"])
    assert caplog.text == ""


def test_a_text_cache_is_not_believed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    checkpoint = load_checkpoint("bundled")
    clean = TextEncoder.of(checkpoint, templates="plain", cache=tmp_path).encode(["car", "road"])
    files = sorted(tmp_path.rglob("*.npy"))
    first, second = (file.read_bytes() for file in files)
    another = io.BytesIO()
    np.save(another, -np.load(files[0]))
    for spoilt in (second, another.getvalue(), first[:-1], b"", bytes(len(first))):
        caplog.clear()
        files[0].write_bytes(spoilt)
        texts = TextEncoder.of(checkpoint, templates="plain", cache=tmp_path)
        torch.testing.assert_close(texts.encode(["car", "road"]), clean)
        assert "are made again" in caplog.text
        assert len(files[0].read_bytes()) == len(first)
        assert files[0].read_bytes() != spoilt


def test_a_cache_of_other_templates_is_another_one(tmp_path: Path) -> None:
    def cache(template: str) -> TextCache:
        return TextCache(
            tmp_path, fingerprint="f", templates=[template], dtype=torch.float32, width=2
        )

    cache("{}").put("car", np.array([1, 0], np.float32))
    assert cache("{}").get("car") is not None
    moved = cache("a {}")
    moved.folder.parent.mkdir(parents=True, exist_ok=True)
    cache("{}").folder.rename(moved.folder)
    assert moved.get("car") is None


def test_a_prompt_of_a_whole_file_is_no_prompt(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("car\n" + "x" * 10_001)
    with pytest.raises(InputError, match=r"10001 characters.*at most 10000"):
        read_classes_file(tmp_path / "classes.txt")
