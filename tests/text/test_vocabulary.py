from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lhtclip.errors import InputError, LhtClipError, UnknownNameError
from lhtclip.text import templates as templates_module
from lhtclip.text.parsing import parse_classes
from lhtclip.text.templates import TEMPLATE_SETS, fill, resolve_templates
from lhtclip.text.vocabulary import (
    SHIPPED_CLASS_LISTS,
    Vocabulary,
    read_classes_file,
    shipped_classes,
)

DATA = Path(templates_module.__file__).parents[1] / "data"

# Words of any script without separators and quotes, in the spelling that parsing keeps.
letters = st.characters(exclude_categories=("Cs", "Cc", "Cf"), exclude_characters="|,#;()[]{}'\"")
words = st.text(letters, min_size=1).map(lambda text: " ".join(text.split())).filter(bool)
synonyms = st.lists(words, min_size=1, max_size=4, unique_by=lambda word: word.casefold())
class_lists = st.lists(synonyms, min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (["car", "road"], [("car", ("car",)), ("road", ("road",))]),  # plain list
        (("car",), [("car", ("car",))]),  # tuple, one class
        ("car, road", [("car", ("car",)), ("road", ("road",))]),  # comma string
        ("car", [("car", ("car",))]),  # string with one class
        ("person| man in a  shirt |rider", [("person", ("person", "man in a shirt", "rider"))]),
        (["person|rider"], [("person", ("person", "rider"))]),  # bar inside a list element
        ([["person", "rider"], "car"], [("person", ("person", "rider")), ("car", ("car",))]),
        ([["person", "man|boy"]], [("person", ("person", "man", "boy"))]),  # bar in a synonym
        (["car, road"], [("car, road", ("car, road",))]),  # a list is not split at commas
        ({"person": ["man", "rider"]}, [("person", ("man", "rider"))]),  # key is only the name
        ({"person": "man|rider"}, [("person", ("man", "rider"))]),  # dict with bar string
        ({"car": [], "road": ""}, [("car", ("car",)), ("road", ("road",))]),  # key is the query
        ({"car": None}, [("car", ("car",))]),  # as YAML reads an empty value
        (["  traffic \t light\n"], [("traffic light", ("traffic light",))]),  # white space
        (["Tür\u00a0außen"], [("Tür außen", ("Tür außen",))]),  # no-break space, case kept
        (["car|Car|CAR"], [("car", ("car",))]),  # repeated synonym counts once
    ],
)
def test_parse_classes(classes: Any, expected: list[tuple[str, tuple[str, ...]]]) -> None:
    assert parse_classes(classes) == expected


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([], "No class was given"),  # empty list
        ({}, "No class was given"),  # empty dict
        ("", "No class was given"),  # empty string
        (" \n", "No class was given"),  # blank string
        ("car,,road", "Empty class or prompt in class 2 of 'car,,road'"),  # hole
        ("car, road,", "class 3"),  # trailing comma
        (["car", " "], r"Empty class or prompt in class 2, ' '"),  # blank element
        (["person||rider"], "Empty class or prompt"),  # hole between bars
        ([["person", ""]], "Empty class or prompt"),  # empty synonym
        ([[]], "Empty class or prompt"),  # no synonym at all
        ({"": ["car"]}, "Empty class or prompt"),  # empty key
        ({"car": ["auto", ""]}, "Empty class or prompt"),  # empty value
        ({"car|auto": ["van"]}, "not a single name"),  # synonyms in the key
        ({("car",): ["van"]}, "not a single name"),  # key that is no string
        ({3: ["van"]}, "3 in 3: .* is not text"),  # number as a key
        ([b"car"], r"b'car' in class 1, b'car' is not text"),  # bytes in the list
        (b"car", "cannot be read from b'car'"),  # bytes
        (["car", 3], "3 in class 2, 3 is not text"),  # number in the list
        ([["car", None]], "None in class 1, .* is not text"),  # None among synonyms
        ([[["car"]]], "is not text"),  # nested too deep
        ({"car", "road"}, "cannot be read from"),  # a set has no order
        (None, "cannot be read from None"),  # nothing
        (7, "cannot be read from 7"),  # number
        (["c\x01r"], "Control characters"),  # which XML files of other programs cannot hold
        (["c\udce4r"], "not text"),  # surrogate from a wrongly decoded argument
    ],
)
def test_parse_errors(classes: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_classes(classes)


@pytest.mark.parametrize(
    ("classes", "options", "message"),
    [
        (["car", "Car"], {}, "'Car' was given twice"),  # case does not count
        (["traffic light", "traffic  light"], {}, "given twice"),  # nor does spacing
        (["caf\u00e9", "cafe\u0301"], {}, "given twice"),  # nor how an accent is composed
        ({"car": ["auto"], "CAR": ["van"]}, {}, "given twice"),  # in a dict
        ([["car", "auto"], ["van", "Auto"]], {}, "'Auto' is a prompt of both 'car' and 'van'"),
        ({"vehicle": ["car"], "wagon": ["car"]}, {}, "both 'vehicle' and 'wagon'"),  # values
        (["car", "wall"], {"background": ["wall"]}, "both 'background' and 'wall'"),
        (["background", "car"], {"threshold": 0.1}, "Leave it out"),  # class and threshold
        (["Background", "car"], {"background": "wall"}, "Leave it out"),  # class and words
        (["car"], {"background": []}, "background has no prompt"),  # empty list
        (["car"], {"background": ""}, "Empty class or prompt in background ''"),  # empty string
        (["car"], {"background": True}, "True in background True is not text"),
        (["car"], {"background": [b"wall"]}, "is not text"),
        (["car"], {"threshold": -0.1}, "from 0 to 1, not -0.1"),
        (["car"], {"threshold": 1.5}, "from 0 to 1"),
        (["car"], {"threshold": float("nan")}, "from 0 to 1, not nan"),
        (["car"], {"threshold": "0.1"}, "from 0 to 1, not '0.1'"),
        ([str(i) for i in range(65535)], {}, "65535 classes were given; at most 65534"),
        ([str(i) for i in range(65534)], {"threshold": 0.1}, "at most 65534"),  # with background
    ],
)
def test_vocabulary_errors(classes: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        Vocabulary.of(classes, **options)
    assert isinstance(caught.value, LhtClipError)
    assert "\n" not in str(caught.value)


def test_vocabulary_without_background() -> None:
    vocabulary = Vocabulary.of("car|auto, road, person|rider|man")
    assert vocabulary.names == ("car", "road", "person")
    assert vocabulary.queries == ("car", "auto", "road", "person", "rider", "man")
    assert vocabulary.class_of_query == (0, 0, 1, 2, 2, 2)
    assert vocabulary.background is None


@pytest.mark.parametrize(
    "background",
    [["wall", "floor"], ("wall", "floor"), "wall|floor", "wall, floor", ["wall|floor"]],
)
def test_background_words_take_label_zero(background: Any) -> None:
    vocabulary = Vocabulary.of(["car", "road"], background=background)
    assert vocabulary.names == ("background", "car", "road")
    assert vocabulary.queries == ("wall", "floor", "car", "road")
    assert vocabulary.class_of_query == (0, 0, 1, 2)
    assert vocabulary.background == 0


def test_threshold_alone_gives_a_background_without_queries() -> None:
    vocabulary = Vocabulary.of(["car", "road"], threshold=0.1)
    assert vocabulary.names == ("background", "car", "road")
    assert vocabulary.queries == ("car", "road")
    assert vocabulary.class_of_query == (1, 2)
    assert vocabulary.background == 0


def test_background_may_be_an_ordinary_class() -> None:
    vocabulary = Vocabulary.of(["background", "car"])
    assert vocabulary.names == ("background", "car")
    assert vocabulary.background is None


def test_most_classes_fit() -> None:
    assert len(Vocabulary.of([str(i) for i in range(65534)]).names) == 65534


def test_shared_queries_on_request() -> None:
    vocabulary = Vocabulary.of(["bed"], background=["wall", "bed"], allow_shared_queries=True)
    assert vocabulary.queries == ("wall", "bed", "bed")
    assert vocabulary.class_of_query == (0, 0, 1)


@given(class_lists)
def test_forms_agree(classes: list[list[str]]) -> None:
    expected = [(synonyms[0], tuple(synonyms)) for synonyms in classes]
    assert parse_classes(classes) == expected
    assert parse_classes(["|".join(synonyms) for synonyms in classes]) == expected
    assert parse_classes(" , ".join(" | ".join(synonyms) for synonyms in classes)) == expected
    as_dict = {synonyms[0]: synonyms for synonyms in classes}
    assert parse_classes(as_dict) == [(name, tuple(value)) for name, value in as_dict.items()]


@given(class_lists, st.none() | synonyms)
def test_vocabulary_keeps_every_query_once(
    classes: list[list[str]], background: list[str] | None
) -> None:
    try:
        vocabulary = Vocabulary.of(classes, background=background)
    except InputError:  # names or synonyms that clash
        return
    expected = classes if background is None else [background, *classes]
    assert list(vocabulary.queries) == [word for synonyms in expected for word in synonyms]
    assert list(vocabulary.class_of_query) == sorted(vocabulary.class_of_query)
    for index, synonyms in enumerate(expected):
        assert vocabulary.class_of_query.count(index) == len(synonyms)
    assert len(vocabulary.names) == len(expected)


@given(class_lists)
def test_classes_file_round_trip(
    tmp_path_factory: pytest.TempPathFactory, classes: list[list[str]]
) -> None:
    # Numbers, markup and several names in a line are lists of other programs.
    marks = re.compile(r"^[^\W\d_][^:;{}]*$")
    assume(all(marks.match(word) for words in classes for word in words))
    path = tmp_path_factory.mktemp("classes") / "classes.txt"
    path.write_text("\n".join("|".join(synonyms) for synonyms in classes), encoding="utf-8")
    assert read_classes_file(path) == [tuple(synonyms) for synonyms in classes]


def test_classes_file_with_comments_mark_and_windows_lines(tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_bytes("\ufeff# streets\r\ncar | auto\r\n\r\n  # more\r\nröad\r\n".encode())
    assert read_classes_file(str(path)) == [("car", "auto"), ("röad",)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no class"),  # empty file
        (b"# only a comment\n\n", "has no class"),  # nothing but a comment
        (b"car\nperson, rider\n", r"Comma in line 2 of .*, 'person, rider'"),  # the field's format
        (b"car||auto\n", "Empty class or prompt in line 1"),  # hole
        ("car\n".encode("utf-16"), "not UTF-8"),  # another encoding
    ],
)
def test_classes_file_errors(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "classes.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_classes_file(path)


def test_classes_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Cannot read the classes file .*none\.txt"):
        read_classes_file(tmp_path / "none.txt")
    with pytest.raises(InputError, match="Cannot read the classes file"):
        read_classes_file(tmp_path)


@pytest.mark.parametrize(
    ("name", "classes", "queries"),
    [
        ("voc21", 21, 56),
        ("voc21.clearclip", 21, 21),
        ("voc21.proxyclip", 21, 46),
        ("voc20", 20, 30),
        ("voc20.clearclip", 20, 20),
        ("voc20.proxyclip", 20, 20),
        ("context60", 60, 60),
        ("context59", 59, 59),
        ("coco_object", 81, 113),
        ("coco_object.clearclip", 81, 81),
        ("coco_object.proxyclip", 81, 97),
        ("coco_stuff171", 171, 171),
        ("cityscapes", 19, 19),
        ("ade20k", 150, 150),
    ],
)
def test_shipped_lists(name: str, classes: int, queries: int) -> None:
    rows = shipped_classes(name)
    assert len(rows) == classes
    assert sum(map(len, rows)) == queries
    shared = name in {"coco_object", "coco_object.proxyclip"}  # both have "bed" twice
    vocabulary = Vocabulary.of(rows, allow_shared_queries=shared)
    assert vocabulary.queries == tuple(word for row in rows for word in row)  # nothing changed
    if shared:
        with pytest.raises(InputError, match="'bed' is a prompt of both"):
            Vocabulary.of(rows)


def test_every_shipped_list_is_named() -> None:
    files = {path.stem for path in (DATA / "class_names").glob("*.txt")}
    assert files == set(SHIPPED_CLASS_LISTS)


def test_unknown_list_has_a_hint() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'cityscapes'"):
        shipped_classes("cityscape")


def test_template_sets() -> None:
    assert len(set(TEMPLATE_SETS["imagenet80"])) == 80
    assert TEMPLATE_SETS["imagenet80"][0] == "a bad photo of a {}."
    assert TEMPLATE_SETS["imagenet80"][-1] == "a tattoo of the {}."
    for name, sentences in TEMPLATE_SETS.items():
        assert resolve_templates(name) == sentences
        assert resolve_templates(list(sentences)) == sentences


def test_own_templates() -> None:
    assert resolve_templates(["a {}.", "the {} {here}"]) == ("a {}.", "the {} {here}")
    assert resolve_templates("a {} seen from above") == ("a {} seen from above",)
    assert fill("the {} {here}", "odd {} name") == "the odd {} name {here}"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "No template was given"),  # empty list
        (["a photo"], "exactly one '{}'"),  # no slot
        (["a {} and a {}"], "exactly one '{}'"),  # two slots
        ("a {} and a {}", "exactly one '{}'"),  # two slots in a single sentence
        (["a {}", b"a {}"], "must be text"),  # bytes
        ("imagenet8", "Did you mean 'imagenet80'"),  # typing error
        ("none", "Available: imagenet80, photo, plain"),  # no such set
    ],
)
def test_template_errors(given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolve_templates(given)
