import numpy as np
import pytest

from lhtclip.errors import UnknownNameError
from training.materials import MATERIAL_PAINTERS, paint
from training.textures import hashed, mix, noise, pebbles, rim, step

NAMES = list(MATERIAL_PAINTERS)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("height", "width"), [(64, 96), (33, 17), (1, 1)])
def test_pictures_are_rgb_bytes_of_the_size_asked_for(name: str, height: int, width: int) -> None:
    picture = paint(name, np.random.default_rng(0), height, width)
    assert picture.shape == (height, width, 3)
    assert picture.dtype == np.uint8


@pytest.mark.parametrize("name", NAMES)
def test_the_generator_alone_decides_the_picture(name: str) -> None:
    first, again, other = (paint(name, np.random.default_rng(s), 64, 64) for s in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first.astype(int) - other).mean() > 2


@pytest.mark.parametrize("name", NAMES)
def test_a_patch_of_sixteen_pixels_shows_texture(name: str) -> None:
    picture = paint(name, np.random.default_rng(1), 96, 96).astype(float)
    patches = picture.reshape(6, 16, 6, 16, 3).transpose(0, 2, 1, 3, 4).reshape(36, 256, 3)
    assert np.median(patches.std(axis=1).max(axis=-1)) > 1


def test_an_unknown_material_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="grass"):
        paint("gras", np.random.default_rng(0), 8, 8)


def test_noise_is_smooth_and_about_unit_spread() -> None:
    field = noise(np.random.default_rng(0), 256, 256, (8, 8))
    assert 0.5 < field.std() < 1.2
    assert np.abs(np.diff(field, axis=0)).max() < 1


def test_noise_stretches_along_the_longer_cell() -> None:
    field = noise(np.random.default_rng(0), 128, 128, (4, 32))
    assert np.abs(np.diff(field, axis=0)).mean() > 4 * np.abs(np.diff(field, axis=1)).mean()


def test_pebbles_measure_distances_to_their_points() -> None:
    near, gap, tone, lift = pebbles(np.random.default_rng(0), 60, 80, 10)
    assert near.min() >= 0
    assert near.max() < 1.5
    assert gap.min() >= 0
    assert gap.max() < 1.5
    assert np.abs(tone).max() <= 1
    assert (np.abs(lift) <= near + 1e-5).all()


def test_rim_is_the_distance_to_the_nearest_whole_number() -> None:
    np.testing.assert_allclose(rim(np.array([-0.25, 0, 0.5, 1.9])), [0.25, 0, 0.5, 0.1])


def test_step_rises_and_falls_with_the_order_of_its_bounds() -> None:
    values = np.array([0.0, 1.0, 1.5, 2.0, 3.0])
    np.testing.assert_allclose(step(values, 1, 2), [0, 0, 0.5, 1, 1])
    np.testing.assert_allclose(step(values, 2, 1), [1, 1, 0.5, 0, 0])


def test_mix_goes_from_the_first_colour_to_the_second() -> None:
    share = np.array([[0.0, 0.5, 1.0]])
    mixed = mix((0.0, 0.2, 0.4), (1.0, 0.4, 0.0), share)
    np.testing.assert_allclose(mixed[0], [[0, 0.2, 0.4], [0.5, 0.3, 0.2], [1, 0.4, 0]], atol=1e-6)


def test_hashed_repeats_itself_and_stays_in_range() -> None:
    row, column = np.meshgrid(np.arange(20.0), np.arange(20.0))
    tones = hashed(row, column)
    np.testing.assert_array_equal(tones, hashed(row, column))
    assert np.abs(tones).max() <= 1
    assert tones.std() > 0.4
