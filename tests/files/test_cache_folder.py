"""Where files are kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lhtclip.files.cache import cache_folder


@pytest.mark.parametrize(
    ("environment", "platform", "expected"),
    [
        ({"LHTCLIP_CACHE": "/own"}, "linux", Path("/own")),  # own folder wins
        ({"LHTCLIP_CACHE": "/own", "XDG_CACHE_HOME": "/xdg"}, "linux", Path("/own")),
        ({"LHTCLIP_CACHE": "~/own"}, "linux", Path.home() / "own"),  # home is filled in
        ({"LHTCLIP_CACHE": "", "XDG_CACHE_HOME": "/xdg"}, "linux", Path("/xdg/lhtclip")),
        ({"XDG_CACHE_HOME": "relative"}, "linux", Path.home() / ".cache/lhtclip"),  # ignored
        ({}, "linux", Path.home() / ".cache/lhtclip"),
        ({}, "darwin", Path.home() / ".cache/lhtclip"),
        ({"LOCALAPPDATA": "/local", "XDG_CACHE_HOME": "/xdg"}, "win32", Path("/local/lhtclip")),
        ({}, "win32", Path.home() / ".cache/lhtclip"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="the paths of the table are those of POSIX")
def test_cache_folder(environment: dict[str, str], platform: str, expected: Path) -> None:
    assert cache_folder(environment, platform=platform) == expected
