"""The search for gains that help together."""

from __future__ import annotations

import pytest

from lhtclip.calibration.stack import Names, search_stack

ALONE = {"a": 2.0, "b": 5.0, "c": -1.0, "d": 3.0}


def additive(stack: Names) -> float:
    return 30 + sum(ALONE[name] for name in stack)


def test_gains_that_help_are_added_the_largest_first() -> None:
    found = search_stack("abcd", additive)
    assert found.chosen == ("b", "d", "a")
    assert list(found.scores) == [(), ("a",), ("b",), ("c",), ("d",), ("b", "d"), ("b", "d", "a")]
    assert found.scores[found.chosen] == 40.0


def test_a_gain_that_harms_the_others_is_left_out() -> None:
    found = search_stack("abcd", lambda stack: additive(stack) - 10 * ({"b", "d"} <= {*stack}))
    assert found.chosen == ("b", "a")
    assert found.scores[("b", "d")] == 28.0


def test_rivals_are_never_measured_together() -> None:
    found = search_stack("abcd", additive, apart=[frozenset("bd")])
    assert found.chosen == ("b", "a")
    assert all(not {"b", "d"} <= {*stack} for stack in found.scores)


@pytest.mark.parametrize("gains", ["", "c"])
def test_nothing_may_help(gains: str) -> None:
    assert search_stack(gains, additive).chosen == ()


def test_each_stack_is_measured_once() -> None:
    seen: list[Names] = []

    def score(stack: Names) -> float:
        seen.append(stack)
        return additive(stack)

    search_stack("abcd", score)
    assert len(seen) == len(set(seen)) == 7
