"""All settings of a segmenter in one frozen record, to and from JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, cast

import torch

from lhtclip.checkpoints.device import choose_device, choose_dtype, dtype_name
from lhtclip.checkpoints.hub import canonical_name
from lhtclip.decoding.settings import DecodeSettings
from lhtclip.engines import ENGINES, check_engine
from lhtclip.errors import InputError, check_kind, is_whole, unknown
from lhtclip.files.records import from_json, to_json
from lhtclip.image.opening import MAX_PIXELS
from lhtclip.image.settings import ReadingSettings
from lhtclip.image.windows import WindowSettings
from lhtclip.methods import METHODS, Method, method_named, method_of
from lhtclip.methods.changes import with_settings
from lhtclip.techniques import ATR_JUDGES
from lhtclip.techniques.presets import Preset
from lhtclip.techniques.settings import Lht, LhtSettings
from lhtclip.text.templates import resolve_templates

_KINDS: dict[str, tuple[type, ...]] = {
    "model": (str,),
    "method": (str, Method),
    "residual": (bool, type(None)),
    "mlp": (bool, type(None)),
    "preset": (Preset, type(None)),
    "templates": (str, Sequence),
    "reading": (ReadingSettings,),
    "windows": (WindowSettings,),
    "decoding": (DecodeSettings,),
    "engine": (str,),
    "graph": (str, type(None)),
    "device": (str,),
    "dtype": (str,),
    "text_cache": (bool, str),
}
_OF_A_METHOD = ("name", "residual", "mlp", "settings")


@dataclass(frozen=True, slots=True)
class SegmenterConfig:
    """All settings of a segmenter: `Segmenter.from_config(SegmenterConfig(...))`.

    `dataclasses.replace` changes one setting.

    Attributes:
        model: A short name ("ViT-B-16"), an id on the hub, a local folder, or "bundled".
        method: A name in `METHODS`, or a `Method` of your own.
        lht: True for the three techniques of the preset, False for none, `LhtSettings` for exactly
            these, or changes by name, such as {"atr": False}, or {"atr": "channels"} to find
            abnormal tokens by the preset's abnormal channels.
        residual: Keep the last block's residual connection; None means as published, but not if a
            technique is on.
        mlp: Keep the last block's MLP; None has the same meaning.
        preset: Settings of the techniques; None for the model's known ones. In JSON it may be the
            name of a file with them.
        templates: Name of a template set, or sentences with "{}" in them.
        reading: How values of images become levels: a range, bands, what to do with alpha.
        windows: How images are resized and cut.
        decoding: How logits become labels.
        engine: What runs the image encoder: a name in `lhtclip.engines.ENGINES`.
        graph: For an engine that runs graphs, a file of `lhtclip export` with the same settings;
            None exports one and keeps it in the cache.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        dtype: "auto", "float32", "bfloat16" or "float16".
        max_pixels: Larger images are refused.
        text_cache: Keep text embeddings on disk; a path says where.

    Raises:
        LhtClipError: A setting that no model could have.
    """

    model: str = "ViT-B-16"
    method: str | Method = "sclip"
    lht: Lht = field(default=True, hash=False)
    residual: bool | None = None
    mlp: bool | None = None
    preset: Preset | None = None
    templates: str | tuple[str, ...] = "imagenet80"
    reading: ReadingSettings = field(default_factory=ReadingSettings)
    windows: WindowSettings = field(default_factory=WindowSettings)
    decoding: DecodeSettings = field(default_factory=DecodeSettings)
    engine: str = "torch"
    graph: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    max_pixels: int = MAX_PIXELS
    text_cache: bool | str = True

    def __post_init__(self) -> None:
        """Refuse settings that no model could have."""
        for name, kinds in _KINDS.items():
            check_kind(name, getattr(self, name), *kinds)
        if not isinstance(self.templates, str):
            object.__setattr__(self, "templates", tuple(self.templates))
        if isinstance(self.method, str):
            method_named(self.method)
        if self.engine not in ENGINES:
            raise unknown("engine", self.engine, ENGINES)
        if self.windows.joint:
            check_joint(method_of(self.method), self.engine)
        _check_lht(self.lht)
        resolve_templates(self.templates)
        if not is_whole(self.max_pixels):
            raise InputError(f"max_pixels must be at least 1, not {self.max_pixels!r}.")

    def machine(self) -> tuple[torch.device, torch.dtype]:
        """Return the device and the precision that "auto" stands for on this machine.

        Raises:
            InputError: The device does not exist here, or the engine does not work there.
        """
        device, dtype = check_engine(
            self.engine, graph=self.graph, device=self.device, dtype=self.dtype
        )
        chosen = choose_device(device)
        return chosen, choose_dtype(dtype, chosen)

    def resolved(self) -> SegmenterConfig:
        """Return the same configuration with the model's canonical name and without "auto".

        Raises:
            LhtClipError: There is no such model, or this machine cannot run it this way.
        """
        device, dtype = self.machine()
        name = canonical_name(self.model)
        return replace(self, model=name, device=str(device), dtype=dtype_name(dtype))

    def to_json(self) -> dict[str, Any]:
        """Return all settings in JSON types; `from_json` reads them back."""
        named = {"method": _method_to_json(self.method), "lht": _lht_to_json(self.lht)}
        plain = {item.name: getattr(self, item.name) for item in fields(self)}
        records = {
            "preset": self.preset and to_json(self.preset),
            "reading": to_json(self.reading),
            "windows": to_json(self.windows),
            "decoding": to_json(self.decoding),
            "templates": self.templates if isinstance(self.templates, str) else [*self.templates],
        }
        return plain | records | named

    @classmethod
    def from_json(cls, content: object, where: str = "the configuration") -> SegmenterConfig:
        """Read settings that `to_json` wrote; missing ones have their defaults.

        Args:
            content: The parsed JSON.
            where: Its name in errors.

        Raises:
            UnknownNameError: A setting that does not exist.
            LhtClipError: A value of another type, or one that cannot be used.
        """
        readers = {"method": _method_from_json, "lht": _lht_from_json, "preset": _preset_from_json}
        return from_json(cls, content, where, readers=readers)


def check_joint(method: Method, engine: str) -> None:
    """Check that windows can see each other in the last block.

    Raises:
        InputError: The engine or the method looks at one window at a time.
    """
    if engine != "torch":
        raise InputError(
            f"Joint windows need the engine 'torch': with {engine!r} each window goes through the "
            "whole tower alone."
        )
    if not method.joinable:
        names = ", ".join(name for name, each in METHODS.items() if each.joinable)
        raise InputError(
            f"The method {method.name!r} looks at one window at a time, so its windows cannot be "
            f"joined. Use one of {names}, or leave out joint windows."
        )


def _check_lht(lht: Lht) -> None:
    if isinstance(lht, bool | LhtSettings):
        return
    if not isinstance(lht, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InputError(
            'lht must be True, False, LhtSettings, or changes such as {"atr": False}, '
            f"not {lht!r}."
        )
    kinds = {item.name: item for item in fields(LhtSettings)}
    for name, value in lht.items():
        if name not in kinds:
            raise unknown("technique", name, kinds)
        if name == "atr" and isinstance(value, str):
            if value not in ATR_JUDGES:
                raise unknown("way to find abnormal tokens", value, ATR_JUDGES)
            continue
        kind = type(value).__name__
        if not isinstance(value, bool) and kind != f"{name.title()}Settings":
            raise InputError(
                f"lht[{name!r}] must be True, False or {name.title()}Settings, not {value!r}."
            )


def _method_to_json(method: str | Method) -> str | dict[str, Any]:
    """Return a method's name, with its settings if they differ from the published ones."""
    if isinstance(method, str) or METHODS.get(method.name) == method:
        return method if isinstance(method, str) else method.name
    return {
        "name": method.name,
        "residual": method.residual,
        "mlp": method.mlp,
        "settings": method.recorded_settings(),
    }


def _method_from_json(content: object, where: str) -> str | Method:
    if isinstance(content, str):
        return content
    if not isinstance(content, dict):
        raise InputError(f"{where} must be the name of a method, not {content!r}.")
    given = cast("dict[str, Any]", content)
    for key in given:
        if key not in _OF_A_METHOD:
            raise unknown(f"part of {where}", key, _OF_A_METHOD)
    kept = {key: given[key] for key in ("residual", "mlp") if key in given}
    for key, value in kept.items():
        check_kind(f"{key} of {where}", value, bool)
    settings = given.get("settings", {})
    check_kind(f"settings of {where}", settings, dict)
    return replace(with_settings(method_named(str(given.get("name"))), settings), **kept)


def _lht_to_json(lht: Lht) -> bool | dict[str, Any]:
    if isinstance(lht, bool):
        return lht
    if isinstance(lht, LhtSettings):
        return to_json(lht)
    return {
        name: value if isinstance(value, bool | str) else to_json(value)
        for name, value in lht.items()
    }


def _lht_from_json(content: object, where: str) -> Lht:
    if isinstance(content, bool):
        return content
    if not isinstance(content, dict):
        raise InputError(f"{where} must be true, false or an object, not {content!r}.")
    given = cast("dict[str, Any]", content)
    switches = {name: value for name, value in given.items() if isinstance(value, bool | str)}
    rest = {name: value for name, value in given.items() if name not in switches}
    read = from_json(LhtSettings, rest, where)
    if rest and len(given) == len(fields(LhtSettings)) and not switches:
        return read
    changed = {name: getattr(read, name) for name in rest}
    return switches | {name: value for name, value in changed.items() if value is not None}


def _preset_from_json(content: object, where: str) -> Preset | None:
    if isinstance(content, str):
        return Preset.load(Path(content))
    return None if content is None else Preset.from_json(content, where)
