import pytest

from training.recipe import HELD_OUT_STYLES, SHIPPED_STYLES, TRAINING_STYLES, Phase, Recipe

RECIPE = Recipe(
    phases=(
        Phase(side=80, objects=(1, 1), sizes=(10, 20), scenes=2048, batch=128, kept=12),
        Phase(side=112, objects=(1, 2), sizes=(10, 20), scenes=1024, batch=64, kept=20),
    ),
    rate=1.0,
    warmup_steps=4,
    decay_steps=10,
)


def test_phases_follow_each_other_and_the_last_one_has_no_end() -> None:
    assert RECIPE.steps == 32
    assert [RECIPE.phase_at(step).side for step in (0, 15, 16, 31, 99)] == [80, 80, 112, 112, 112]


def test_the_rate_rises_stays_and_falls_to_zero() -> None:
    rates = [RECIPE.rate_at(step, 20) for step in range(31)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[4:21] == [1.0] * 17
    assert rates[25] == pytest.approx(0.5)
    assert rates[30] == 0.0


def test_no_style_is_both_learned_and_held_out() -> None:
    assert not set(TRAINING_STYLES) & set(HELD_OUT_STYLES)
    assert set(SHIPPED_STYLES) < set(TRAINING_STYLES)
