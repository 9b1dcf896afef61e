import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lhtclip.errors import LhtClipError, UnknownNameError
from training.artwork import STYLES, fit_sprite, load_sprites
from training.finishes import FINISHES, with_finishes
from training.icon_names import OTHER_NAMES, icon_names
from training.icons import LISTED, ArtworkError
from training.words import THINGS

pytest.importorskip("resvg_py")
BROWN = torch.tensor([200, 90, 10, 255], dtype=torch.uint8)[:, None, None]


def write_set(root: Path, icon_set: str, icons: dict[str, str], aliases: dict[str, str]) -> None:
    """Write an icon set of 16 x 16 units; the sets that list code points list a fox and a key."""
    folder = root / "@iconify-json" / icon_set
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "icons": {name: {"body": body} for name, body in icons.items()},
        "aliases": {name: {"parent": parent} for name, parent in aliases.items()},
    }
    (folder / "icons.json").write_text(json.dumps(content))
    if icon_set in LISTED:
        (folder / "chars.json").write_text(json.dumps({"1f98a": "fox", "1f511": "key-of-metal"}))


def square(colour: str) -> str:
    return f'<rect x="2" y="4" width="12" height="12" fill="{colour}"/>'


@pytest.fixture
def artwork(tmp_path: Path) -> Path:
    for icon_set in LISTED:
        write_set(tmp_path, icon_set, {"fox": square("#f80"), "key-of-metal": square("#08f")}, {})
    write_set(
        tmp_path, "noto-v1", {"fox-face": square("#0f0"), "metal": square("#00f")}, {"key": "metal"}
    )
    return tmp_path


def number_of(name: str) -> int:
    return [thing.name for thing in THINGS].index(name)


def test_sprites_come_in_the_order_of_the_things(artwork: Path) -> None:
    sprites = load_sprites(artwork, style="noto", size=12)
    assert sprites.shape == (len(THINGS), 4, 12, 12)
    assert sprites[number_of("fox"), :, 6, 6].tolist() == [255, 136, 0, 255]
    assert sprites[number_of("key"), :, 6, 6].tolist() == [0, 136, 255, 255]


def test_old_sets_are_searched_by_their_own_names_and_aliases(artwork: Path) -> None:
    sprites = load_sprites(artwork, style="noto-v1", size=12)
    assert sprites[number_of("fox"), :, 6, 6].tolist() == [0, 255, 0, 255]
    assert sprites[number_of("key"), :, 6, 6].tolist() == [0, 0, 255, 255]


def test_what_a_style_lacks_is_transparent(artwork: Path) -> None:
    drawn = load_sprites(artwork, style="noto", size=12)[:, 3].amax(dim=(1, 2)) > 0
    assert drawn.nonzero().flatten().tolist() == sorted([number_of("fox"), number_of("key")])


def test_drawings_are_kept_for_the_next_time(artwork: Path) -> None:
    first = load_sprites(artwork, style="noto", size=12)
    (artwork / "@iconify-json" / "noto" / "icons.json").unlink()
    assert torch.equal(first, load_sprites(artwork, style="noto", size=12))


def test_missing_artwork_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(ArtworkError, match="npm install --ignore-scripts"):
        load_sprites(tmp_path, style="noto", size=8)
    assert issubclass(ArtworkError, LhtClipError)


def test_an_unknown_style_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="twemoji"):
        load_sprites(tmp_path, style="twemojy", size=8)


def test_other_names_belong_to_things() -> None:
    assert set(OTHER_NAMES) <= {thing.name for thing in THINGS}
    bear = THINGS[number_of("bear")]
    assert icon_names(bear, ("bear-1f43b",))[:2] == ("bear-1f43b", "bear-face")
    assert "bear-1" in icon_names(bear, ())


def test_every_style_is_a_package() -> None:
    assert len(set(STYLES.values())) == len(STYLES)


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


def test_finishes_follow_the_drawings_and_keep_what_is_blank() -> None:
    sprites = torch.zeros(2, 3, 4, 16, 16, dtype=torch.uint8)
    sprites[1, 2, :, 4:12, 4:12] = BROWN
    finished = with_finishes(sprites)
    assert finished.shape == (2 * (1 + len(FINISHES)), 3, 4, 16, 16)
    assert torch.equal(finished[:2], sprites)
    for finish in finished.split(2)[1:]:
        drawn = finish[:, :, 3].amax(dim=(2, 3)) > 0
        assert drawn.nonzero().tolist() == [[1, 2]]


def test_the_finishes_do_what_they_are_called() -> None:
    sprites = torch.zeros(1, 1, 4, 16, 16, dtype=torch.uint8)
    sprites[0, 0, :, 4:12, 4:12] = BROWN
    outlined, line_art, few_colours = with_finishes(sprites)[1:, 0]
    assert outlined[:, 3, 8].tolist() == [0, 0, 0, 255]
    assert outlined[:, 8, 8].tolist() == [200, 90, 10, 255]
    assert line_art[:3, 4, 8].amax() == 0
    assert line_art[:3, 8, 8].amin() > 150
    assert set(few_colours[:3].unique().tolist()) <= {0, 128, 255}
