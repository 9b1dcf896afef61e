"""Presets: the settings of the three techniques that suit a checkpoint, and their origin.

Heads are chosen once, offline, with labelled images (arXiv 2510.23894 §3.3); everything else needs
no labels. A checkpoint folder may contain its own preset as `lht.json`.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, cast

from lhtclip.errors import CheckpointError, InputError, reason_of
from lhtclip.files import write_atomically
from lhtclip.files.fields import check_fields
from lhtclip.files.json_files import read_json
from lhtclip.files.paths import as_path
from lhtclip.files.records import from_json
from lhtclip.techniques.atr import AtrSettings
from lhtclip.techniques.settings import Lht, LhtSettings
from lhtclip.techniques.she import Head, SheSettings
from lhtclip.techniques.ssr import SsrSettings

PRESET_FILE = "lht.json"
_logger = logging.getLogger("lhtclip")


@dataclass(frozen=True, slots=True)
class Preset:
    """The settings that suit a checkpoint.

    Attributes:
        ssr: Settings of SSR.
        source: Where the settings come from, in one sentence.
        atr: Settings of ATR.
        she: Settings of SHE; None if no head ranking exists, or SHE does not help.
        ranking: All ranked heads, best first; those of `she` are the first of them.
        channels: Abnormal channels of the residual stream, 0-based, largest first; none if they
            are not known. ATR can judge by them, and RF-CLIP does.
        made: The origin for programs, in JSON types: how `lhtclip calibrate` chose the settings.
    """

    ssr: SsrSettings
    source: str
    atr: AtrSettings = field(default_factory=AtrSettings)
    she: SheSettings | None = None
    ranking: tuple[Head, ...] = ()
    channels: tuple[int, ...] = ()
    made: Mapping[str, Any] = field(default_factory=dict[str, Any], hash=False)

    def __post_init__(self) -> None:
        """Refuse values of another type.

        Raises:
            InputError: One is.
        """
        check_fields(self)

    def select(
        self,
        *,
        lht: bool,
        ssr: bool | SsrSettings | None = None,
        atr: bool | str | AtrSettings | None = None,
        she: bool | SheSettings | None = None,
    ) -> LhtSettings:
        """Choose techniques: all (`lht`) or none, then each one as requested.

        Args:
            lht: Whether all three are on by default.
            ssr: True or False to switch it, settings to replace the preset's, None to follow `lht`.
            atr: The same for ATR; "channels" switches it on and lets it judge by the preset's
                abnormal channels, "hoyer" by the Hoyer score.
            she: The same for SHE.

        Raises:
            InputError: SHE was requested by name, and the preset has no head ranking, or ATR by
                channels, and it has none.
        """
        if isinstance(atr, str):
            atr = self.atr_by(atr)
        if she is True and self.she is None:
            raise InputError(
                "SHE needs a head ranking and this checkpoint has none. Pass "
                "she=SheSettings(heads=((layer, head), ...)) with heads ranked on labelled images, "
                "put a preset with 'she' into the checkpoint folder as lht.json (`lhtclip "
                "calibrate` makes one), or switch SHE off."
            )
        if she is None and lht and self.she is None and not self.ranking:
            _logger.warning(
                "This checkpoint has no head ranking: LHT uses ATR and SSR, without SHE."
            )
        return LhtSettings(
            ssr=_choose(ssr, lht, self.ssr),
            atr=_choose(atr, lht, self.atr),
            she=_choose(she, lht, self.she),
        )

    def atr_by(self, judge: str) -> AtrSettings:
        """Return the settings of ATR with a way to find abnormal tokens, a name in `ATR_JUDGES`.

        Raises:
            InputError: It is "channels", and the preset has none.
        """
        if judge == "channels" and not self.channels:
            raise InputError(
                "ATR by channels needs the abnormal channels of this checkpoint, and its preset "
                "has none. `lhtclip calibrate --no-labels` finds them on any images."
            )
        return replace(self.atr, channels=self.channels if judge == "channels" else ())

    def choose(self, lht: Lht) -> LhtSettings:
        """Return the settings that were asked for; see `lhtclip.techniques.settings.Lht`.

        Raises:
            InputError: SHE was requested by name, and the preset has no head ranking.
        """
        if isinstance(lht, LhtSettings):
            return lht
        if isinstance(lht, bool):
            return self.select(lht=lht)
        changes = cast("Mapping[str, Any]", lht)
        return self.select(lht=True, **changes)

    def save(self, path: Path) -> Path:
        """Write the preset as JSON, one line for each of its fields."""
        lines = [
            f"  {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}"
            for name, value in asdict(self).items()
        ]
        return write_atomically(
            as_path("path", path), ("{\n" + ",\n".join(lines) + "\n}\n").encode()
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Preset:
        """Read a preset from JSON.

        Raises:
            InputError: There is no such file.
            CheckpointError: It is not a preset.
        """
        path = as_path("path", path)
        try:
            content = read_json(path)
        except OSError as error:
            raise InputError(f"Cannot read the preset {path}: {reason_of(error)}.") from error
        except ValueError as error:
            raise CheckpointError(f"The preset {path} is not JSON: {error}.") from error
        return cls.from_json(content, f"the preset {path}")

    @classmethod
    def from_json(cls, content: object, where: str) -> Preset:
        """Build a preset from JSON types.

        Args:
            content: The parsed JSON.
            where: Name of its source in errors.

        Raises:
            CheckpointError: It is not a preset.
        """
        try:
            return from_json(cls, content, where)
        except InputError as error:
            raise CheckpointError(
                f"{where[:1].upper()}{where[1:]} cannot be used ({str(error).rstrip('.')}). It "
                "needs 'source', 'ssr' with 'layers', and optionally 'atr' and 'she' with 'heads'."
            ) from error


_Settings = TypeVar("_Settings")


def _choose(asked: object, lht: bool, preset: _Settings | None) -> _Settings | None:
    if asked is None:
        return preset if lht else None
    if isinstance(asked, bool):
        return preset if asked else None
    return cast(_Settings, asked)


_VIT_B16_RANKING = (
    *((6, 11), (8, 12), (6, 1), (6, 10), (6, 3), (7, 8), (6, 2), (6, 9), (7, 6), (7, 12)),
    *((7, 9), (8, 5), (6, 6), (6, 5), (7, 4), (7, 3), (8, 6)),
)

PRESETS: Mapping[str, Preset] = {
    "openai/clip-vit-base-patch16": Preset(
        ssr=SsrSettings(layers=(10, 11)),
        she=SheSettings(heads=_VIT_B16_RANKING[:10]),
        ranking=_VIT_B16_RANKING,
        channels=(4, 162, 189, 326, 429, 474, 633, 713),
        source=(
            "arXiv 2510.23894: τ, α and layers from its text; heads read off its figures "
            "(average AUC over ADE20K, Context and COCO-Stuff); channels of RF-CLIP's code"
        ),
    ),
    "openai/clip-vit-large-patch14": Preset(
        ssr=SsrSettings(layers=(20, 21, 22, 23)),
        channels=(250, 261, 437, 650, 720, 779, 936, 1005),
        source=(
            "arXiv 2510.23894: τ, α and layers from its text; it publishes no heads; channels of "
            "RF-CLIP's code"
        ),
    ),
}


def preset_for(name: str, directory: Path, *, layers: int) -> Preset:
    """Find the preset of a checkpoint: its own file, the table, or layers by depth as in the paper.

    Args:
        name: The checkpoint's hub id or folder.
        directory: The folder it was loaded from.
        layers: Number of layers of its image tower.
    """
    if (directory / PRESET_FILE).exists():
        return Preset.load(directory / PRESET_FILE)
    return PRESETS.get(name) or preset_by_depth(layers)


def preset_by_depth(layers: int) -> Preset:
    """Return ATR, and SSR on the last sixth before the last layer: 10-11 of 12, 20-23 of 24."""
    count = max(1, round(layers / 6))
    return Preset(
        ssr=SsrSettings(layers=tuple(range(max(1, layers - count), layers))),
        source=f"SSR's layers by depth ({layers}), as in arXiv 2510.23894; no head ranking",
    )
