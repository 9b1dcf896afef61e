from __future__ import annotations

import io
import logging
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lhtclip.text.cache import TextCache, open_text_cache

WIDTH = 8
PHOTO = ("a photo of a {}.",)


def cache_in(root: Path, **changes: Any) -> TextCache:
    options: dict[str, Any] = {
        "fingerprint": "weights",
        "templates": PHOTO,
        "dtype": torch.float32,
        "width": WIDTH,
    }
    return TextCache(root, **(options | changes))


def unit(seed: int = 0, width: int = WIDTH) -> NDArray[np.float32]:
    vector = np.random.default_rng(seed).normal(size=width)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def npy(array: Any, *, allow_pickle: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=allow_pickle)
    return buffer.getvalue()


def only_file(root: Path) -> Path:
    (path,) = (path for path in root.rglob("*") if path.is_file())
    return path


@pytest.mark.parametrize(
    "query", ["car", "a very long phrase " * 50, "../../up", "größe", "車", ""]
)
def test_round_trip(tmp_path: Path, query: str) -> None:
    cache = cache_in(tmp_path)
    assert cache.get(query) is None
    cache.put(query, unit())
    found = cache_in(tmp_path).get(query)
    assert found is not None
    np.testing.assert_array_equal(found, unit())
    assert only_file(tmp_path).parent.parent == tmp_path / "text"
    assert cache.get(query + "s") is None


def test_put_replaces(tmp_path: Path) -> None:
    cache = cache_in(tmp_path)
    cache.put("car", unit(0))
    cache.put("car", unit(1))
    np.testing.assert_array_equal(cache.get("car"), unit(1))
    only_file(tmp_path)  # and no temporary file is left


@pytest.mark.parametrize(
    "changes",
    [
        {"fingerprint": "other weights"},
        {"templates": ("a photo of the {}.",)},
        {"templates": ("a photo of a {}.", "a photo of a {}.")},  # one more
        {"templates": ("{}", "a photo of a {}.")},  # one more in front
        {"dtype": torch.float16},
        {"dtype": torch.bfloat16},
    ],
)
def test_other_keys_never_hit(tmp_path: Path, changes: dict[str, Any]) -> None:
    cache_in(tmp_path).put("car", unit())
    assert cache_in(tmp_path, **changes).get("car") is None
    assert cache_in(tmp_path).get("car") is not None


def test_order_of_templates_is_part_of_the_key(tmp_path: Path) -> None:
    cache_in(tmp_path, templates=("a {}", "the {}")).put("car", unit())
    assert cache_in(tmp_path, templates=("the {}", "a {}")).get("car") is None


SOUND = npy(unit())


@pytest.mark.parametrize(
    "content",
    [
        b"",  # empty
        SOUND[:4],  # cut in the magic string
        SOUND[:40],  # cut in the header
        SOUND[:-1],  # cut in the numbers
        b"\x00" * len(SOUND),  # blocks never written
        b"not numpy at all",  # something else
        b"PK\x03\x04" + SOUND,  # looks like a zip
        SOUND.replace(b"(8,)", b"(9,)"),  # header that promises more
        SOUND.replace(b"'descr'", b"'descr\\"),  # header that cannot be parsed
        npy(unit(width=WIDTH + 1)),  # too wide
        npy(unit()[None]),  # one dimension too many
        npy(unit().astype(np.float64)),  # other dtype
        npy(unit().astype(">f4")),  # other byte order
        npy(np.full(WIDTH, np.nan, np.float32)),  # not a number
        npy(np.full(WIDTH, np.inf, np.float32)),  # infinite
        npy(np.zeros(WIDTH, np.float32)),  # no direction
        npy(unit() * np.float32(1.01)),  # not of unit norm
        npy(np.array(["x"] * WIDTH, dtype=object), allow_pickle=True),  # needs unpickling
        pickle.dumps(unit()),  # a pickle
    ],
)
def test_broken_files_are_missing_and_rewritten(tmp_path: Path, content: bytes) -> None:
    cache = cache_in(tmp_path)
    cache.put("car", unit())
    only_file(tmp_path).write_bytes(content)
    assert cache.get("car") is None
    cache.put("car", unit(1))
    np.testing.assert_array_equal(cache.get("car"), unit(1))


def test_a_folder_in_the_way_is_missing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = cache_in(tmp_path)
    cache.put("car", unit())
    path = only_file(tmp_path)
    path.unlink()
    path.mkdir()
    assert cache.get("car") is None
    cache.put("car", unit())  # no error
    assert len(caplog.records) == 1


def test_unwritable_folder_warns_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("a file where the cache folder should be")
    cache = cache_in(blocked)
    with caplog.at_level(logging.WARNING, logger="lhtclip"):
        for query in ("car", "road", "person"):
            assert cache.get(query) is None
            cache.put(query, unit())
    assert len(caplog.records) == 1
    assert caplog.records[0].name == "lhtclip"
    assert str(blocked) in caplog.text


def test_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LHTCLIP_CACHE", str(tmp_path / "default"))
    options: dict[str, Any] = {
        "fingerprint": "weights",
        "templates": PHOTO,
        "dtype": torch.float32,
        "width": WIDTH,
    }
    assert open_text_cache(None, **options) is None
    assert open_text_cache(False, **options) is None
    for cache, root in [(True, "default"), (tmp_path / "own", "own"), (str(tmp_path / "s"), "s")]:
        opened = open_text_cache(cache, **options)
        assert opened is not None
        assert opened.folder.is_relative_to(tmp_path / root / "text")
    assert list(tmp_path.iterdir()) == []  # opening creates nothing


def test_no_home_folder_switches_the_cache_off(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    for name in ("LHTCLIP_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    opened = open_text_cache(
        True, fingerprint="weights", templates=PHOTO, dtype=torch.float32, width=WIDTH
    )
    assert opened is None
    assert "LHTCLIP_CACHE" in caplog.text
