"""Settings of methods by name, as on a command line, and back from JSON."""

from __future__ import annotations

import pytest

from lhtclip.errors import InputError, UnknownNameError
from lhtclip.methods import METHODS
from lhtclip.methods.changes import parse_settings, with_settings


@pytest.mark.parametrize("name", [name for name, each in METHODS.items() if each.settings])
def test_what_is_recorded_comes_back(name: str) -> None:
    method = METHODS[name]
    assert with_settings(method, method.recorded_settings()) == method


@pytest.mark.parametrize(
    ("name", "typed", "path"),
    [
        ("pearl", "alpha=0.3", ("alpha", 0.3)),
        ("gem", "positions=bicubic", ("positions", "bicubic")),
        ("rfclip", "channels=[1, 5]", ("channels", [1, 5])),
        ("scclip", 'levels={"deep":9,"shallow":4,"fused":[4,10],"class_share":0.2}', None),
        ("resclip-sfr", "sfr.path=released", ("sfr", {"path": "released"})),
    ],
)
def test_a_setting_changes_alone(name: str, typed: str, path: tuple[str, object] | None) -> None:
    before = METHODS[name].recorded_settings()
    after = with_settings(METHODS[name], parse_settings([typed])).recorded_settings()
    assert after != before
    if path is not None:
        key, value = path
        expected = before[key] | value if isinstance(value, dict) else value
        assert after == before | {key: expected}


@pytest.mark.parametrize(
    ("name", "typed", "kind", "message"),
    [
        ("pearl", ["alhpa=1"], UnknownNameError, "Did you mean 'alpha'"),
        ("resclip-sfr", ["path=released"], UnknownNameError, r"sfr\.path"),
        ("resclip-sfr", ["sfr.path.x=1"], UnknownNameError, r"sfr\.path\.x"),
        ("gem", ["positions=cubic"], UnknownNameError, "antialiased"),
        ("pearl", ["alpha=much"], InputError, "'alpha'.*a number.*much"),
        ("pearl", ["alpha=-1"], InputError, "alpha must be 0 or more"),
        ("sclip", ["alpha=1"], InputError, "'sclip' has no settings.*'alpha'"),
        ("pearl", ["alpha"], InputError, r"alpha=0\.3, not 'alpha'"),
        ("pearl", ["alpha=1", "alpha=2"], InputError, "'alpha' is given twice"),
    ],
)
def test_what_does_not_fit_is_named(
    name: str, typed: list[str], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        with_settings(METHODS[name], parse_settings(typed))
