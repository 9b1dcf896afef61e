"""What `lhtclip evaluate` is to do: for each data set its protocol, and the settings used here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from lhtclip.cli.load import config_of, refined_by
from lhtclip.config import SegmenterConfig
from lhtclip.datasets import Dataset, open_dataset
from lhtclip.decoding.aliases import AliasSettings
from lhtclip.decoding.ptc import PtcSettings
from lhtclip.decoding.settings import DecodeSettings
from lhtclip.errors import InputError
from lhtclip.evaluation.protocol import Protocol
from lhtclip.evaluation.published_protocols import protocol_for, publication_of
from lhtclip.image.windows import WindowSettings
from lhtclip.methods import method_of
from lhtclip.methods.changes import parse_settings, with_settings
from lhtclip.techniques import TECHNIQUES
from lhtclip.text.vocabulary import BACKGROUND

_OF_THE_PROTOCOL = (
    *("templates", "short_side", "window", "stride", "resize", "batch", "flip", "shifts"),
    "joint",
    *("logit_scale", "threshold", "area_threshold", "refine", "prior", "aliases"),
    *("calibrate_texts", "method_settings"),
)


@dataclass(frozen=True, slots=True)
class Task:
    """A data set, its published protocol, and the configuration used here."""

    dataset: Dataset
    protocol: Protocol
    config: SegmenterConfig

    @property
    def deviations(self) -> dict[str, dict[str, Any]]:
        """The settings that differ from the published ones, by name."""
        published, used = _settings(self.protocol), _settings(self.config)
        published["background_words"] = "published"
        used["background_words"] = self.protocol.background_words or "published"
        method = method_of(self.config.method)
        used["method_settings"] = method.recorded_settings()
        published["method_settings"] = self.protocol.method_named(method.name).recorded_settings()
        return {
            name: {"protocol": published[name], "used": value}
            for name, value in used.items()
            if value != published[name] and name != "batch"  # does not change labels
        }


def plan_tasks(given: Mapping[str, Any]) -> list[Task]:
    """Make a task of every data set that was named.

    Args:
        given: All options as typed; None means the protocol's.

    Raises:
        LhtClipError: A data set is missing, or an option cannot be used.
    """
    config = config_of({k: v for k, v in given.items() if k not in _OF_THE_PROTOCOL})
    config.resolved()  # reports a model or device that does not exist
    names = list(dict.fromkeys(given["names"]))
    tasks = [_task(name, config, given, alone=len(names) == 1) for name in names]
    _check_distinct([task.dataset for task in tasks])
    if given["background"] is not None and not any(task.protocol.background for task in tasks):
        raise InputError(f"{', '.join(names)} has no background class: leave out --background.")
    return tasks


def _task(name: str, config: SegmenterConfig, given: Mapping[str, Any], *, alone: bool) -> Task:
    publication = given["protocol"] or publication_of(given["method"], lht=_has_techniques(config))
    protocol = protocol_for(name, publication)
    if protocol.background:
        protocol = replace(protocol, background_words=given["background"])
    if given["aliases"] is not None:
        protocol = replace(protocol, aliases=given["aliases"])
    dataset = open_dataset(name, given["root"] if name != "scenes" or alone else None)
    configured = protocol.configure(config)
    changes = parse_settings(given["method_settings"])
    used = replace(
        configured,
        method=with_settings(method_of(configured.method), changes),
        windows=_windows(protocol, given),
        decoding=_decoding(protocol, given),
        templates=given["templates"] or protocol.templates,
    )
    _check_background(dataset, used.decoding)
    return Task(dataset, protocol, used)


def _has_techniques(config: SegmenterConfig) -> bool:
    if isinstance(config.lht, Mapping):
        return any(config.lht.get(name, True) for name in TECHNIQUES)
    return bool(config.lht)


def _windows(protocol: Protocol, given: Mapping[str, Any]) -> WindowSettings:
    names = ("short_side", "stride", "window", "resize", "flip", "shifts", "joint")
    changes = _changes(given, *names)
    if given["window"] == 0:
        changes["window"] = None  # the whole image
    return replace(protocol.windows, batch=given["batch"], **changes)


def _decoding(protocol: Protocol, given: Mapping[str, Any]) -> DecodeSettings:
    changes = _changes(given, "logit_scale", "threshold", "area_threshold", "prior")
    if given["aliases"] is not None:
        changes["aliases"] = AliasSettings()
    if given["calibrate_texts"] is not None:
        changes["ptc"] = PtcSettings() if given["calibrate_texts"] else None
    decoding = replace(protocol.decoding, **changes)
    return decoding if given["refine"] is None else refined_by(decoding, given["refine"])


def _changes(given: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: given[name] for name in names if given[name] is not None}


def _settings(source: Protocol | SegmenterConfig) -> dict[str, Any]:
    return asdict(source.windows) | asdict(source.decoding) | {"templates": source.templates}


def _check_background(dataset: Dataset, decoding: DecodeSettings) -> None:
    """Refuse thresholds if class 0 is not a background."""
    first = dataset.names[0]
    if first.casefold() != BACKGROUND and (decoding.threshold or decoding.area_threshold):
        raise InputError(
            f"A threshold moves pixels to class 0, but class 0 of {dataset.name} is {first!r}, not "
            "a background: leave out --threshold and --area-threshold."
        )


def _check_distinct(datasets: Sequence[Dataset]) -> None:
    names = [dataset.name for dataset in datasets]
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                f"Two of the data sets are called {name!r}, so their results would have the same "
                "names: use a separate --out for each."
            )
