from __future__ import annotations

import re
from pathlib import Path

import pytest

import lhtclip

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", lhtclip.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(lhtclip, name).__doc__ or name == "METHODS"


def test_a_name_that_is_not_public() -> None:
    with pytest.raises(AttributeError, match="segmentre"):
        _ = lhtclip.segmentre


def test_the_version_is_told_in_one_place() -> None:
    (cited,) = re.findall(r"^version: (\S+)", (ROOT / "CITATION.cff").read_text(), re.M)
    assert cited.strip("'\"") == lhtclip.__version__
    assert 'dynamic = ["version"]' in (ROOT / "pyproject.toml").read_text()
