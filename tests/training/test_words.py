import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lhtclip.errors import LhtClipError, UnknownNameError
from training.artwork import STYLES, ArtworkError, fit_sprite, load_sprites
from training.materials import MATERIAL_PAINTERS
from training.words import MATERIALS, THINGS, Thing


def test_there_are_at_least_two_hundred_things() -> None:
    assert 220 <= len(THINGS) <= 250


def test_no_word_stands_for_two_things() -> None:
    words = [word for entry in (*THINGS, *MATERIALS) for word in (entry.name, *entry.synonyms)]
    assert sorted(words) == sorted(set(words))


@pytest.mark.parametrize("entry", [*THINGS, *MATERIALS], ids=lambda entry: entry.name)
def test_words_are_plain_lower_case(entry: Thing) -> None:
    for word in (entry.name, *entry.synonyms):
        assert re.fullmatch(r"[a-z]+([ -][a-z]+)*", word)


def test_codes_are_unique_lower_case_hexadecimal() -> None:
    codes = [thing.code for thing in THINGS]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[0-9a-f]{4,5}(-[0-9a-f]{4,5})*", code) for code in codes)


def test_every_material_has_a_painter() -> None:
    assert [material.name for material in MATERIALS] == list(MATERIAL_PAINTERS)


def draw_all(root: Path, style: str) -> None:
    for index, thing in enumerate(THINGS):
        path = root / STYLES[style].format(code=thing.code)
        path.parent.mkdir(parents=True, exist_ok=True)
        drawing = Image.new("RGBA", (8, 8))
        drawing.paste((index, 20, 30, 255), (2, 1, 6, 7))
        drawing.save(path, lossless=True)


@pytest.mark.parametrize("style", ["noto", "twemoji", "fluent", "emojione"])
def test_sprites_come_in_the_order_of_the_things(tmp_path: Path, style: str) -> None:
    draw_all(tmp_path, style)
    images = load_sprites(tmp_path, style=style, size=12)
    assert images.shape == (len(THINGS), 4, 12, 12)
    assert images[:, 0, 6, 6].tolist() == list(range(len(THINGS)))


def test_only_an_incomplete_style_may_lack_a_thing(tmp_path: Path) -> None:
    for style in ("noto", "emojione"):
        draw_all(tmp_path, style)
        (tmp_path / STYLES[style].format(code=THINGS[7].code)).unlink()
    images = load_sprites(tmp_path, style="emojione", size=12)
    assert (images[:, 3].amax(dim=(1, 2)) == 0).nonzero().flatten().tolist() == [7]
    with pytest.raises(ArtworkError, match="npm install"):
        load_sprites(tmp_path, style="noto", size=12)


def test_a_sprite_is_cropped_centred_and_fills_its_longer_side() -> None:
    drawing = Image.new("RGBA", (40, 40))
    drawing.paste((255, 255, 255, 255), (3, 5, 13, 25))
    alpha = fit_sprite(drawing, size=12)[..., 3]
    columns = np.flatnonzero(alpha.any(axis=0))
    assert alpha.any(axis=1).all()
    assert (columns[0], columns[-1]) == (3, 8)


def test_no_dark_fringe_appears_on_a_white_drawing() -> None:
    drawing = Image.new("RGBA", (41, 41))
    for offset in range(41):
        drawing.paste((255, 255, 255, 255), (offset, 0, 41, offset + 1))
    sprite = fit_sprite(drawing, size=16)
    assert np.count_nonzero((sprite[..., 3] > 30) & (sprite[..., 3] < 225)) > 0
    assert sprite[sprite[..., 3] > 30][:, :3].min() >= 245


def test_missing_artwork_names_the_packages(tmp_path: Path) -> None:
    with pytest.raises(ArtworkError, match="npm install --ignore-scripts emoji-datasource-google"):
        load_sprites(tmp_path, style="noto", size=8)
    assert issubclass(ArtworkError, LhtClipError)


def test_an_unknown_style_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="twemoji"):
        load_sprites(tmp_path, style="twemojy", size=8)
