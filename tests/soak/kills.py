"""Runs that are killed at random moments, and started again: they end as undisturbed ones."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lhtclip.cli import main
from lhtclip.datasets.scene_files import bundled_scenes
from tests.soak.children import run_in_child
from tests.soak.tally import Tally, last, seeds

MODEL = ("--model", "bundled", "--quiet")
SMALL = ("--short-side", "112", "--window", "112", "--stride", "112", "--templates", "plain")
WORDS = ("--classes", "cat,dog,grass|lawn,sky")
# How often each is killed: those that take long less often.
TURNS = (
    *("segment", "evaluate", "raster", "segment", "caches", "calibrate", "evaluate", "raster"),
    *("segment", "convert", "evaluate", "raster", "segment", "caches", "calibrate", "export"),
)
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
ENDS = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}


def kills(chance: random.Random, seconds: float, folder: Path) -> Tally:
    """Kill runs at random moments; restarted, they end as undisturbed ones."""
    tally = Tally()
    works = _works(folder)
    expected: dict[str, dict[str, bytes]] = {}
    spent: dict[str, float] = {}
    end = time.monotonic() + seconds
    for turn, seed in enumerate(seeds(chance, seconds)):
        name = TURNS[turn % len(TURNS)]
        work, draw = works[name], random.Random(seed)
        if name not in expected:
            start, out = time.monotonic(), folder / f"{name}-undisturbed"
            ended = run_in_child(lambda: work(out), seconds=3600)  # noqa: B023
            if ended.code:
                tally.failed(f"kills, {name} undisturbed: {last(ended)}")
                return tally
            spent[name], expected[name] = time.monotonic() - start, content(out)
            if time.monotonic() > end:
                return tally
        out = folder / f"{name}-killed"
        shutil.rmtree(out, ignore_errors=True)
        by = draw.choice(SIGNALS)
        moment = draw.uniform(0.02, spent[name])
        ended = run_in_child(lambda: work(out), seconds=3600, kill_after=moment, by=by)  # noqa: B023
        killed = ended.code == ENDS[by]
        tally.counts[f"kills of {name}" if killed else "ended before the kill"] += 1
        if ended.code not in (0, ENDS[by]) or "Traceback" in ended.stderr:
            tally.failed(f"{by.name} of {name}, seed {seed}: {last(ended)}")
        if by is not signal.SIGKILL and (left := leftovers(out)):
            tally.failed(f"{by.name} of {name}, seed {seed}: {left} left")
        again = run_in_child(lambda: work(out), seconds=3600)  # noqa: B023
        done = again.code == 0 or "exists already" in again.stderr  # killed after its last file
        if not done or leftovers(out) or content(out) != expected[name]:
            tally.failed(f"kills of {name}, seed {seed}: {leftovers(out)} {last(again)}")
    return tally


def leftovers(folder: Path) -> list[str]:
    """Return the names of temporary files."""
    return [path.name for path in folder.rglob(".lhtclip-*")]


def content(folder: Path) -> dict[str, bytes]:
    """Return files by path, without what tells of time and place."""
    found: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.name == "lock":
            continue
        data = path.read_bytes()
        if path.suffix == ".json":
            with suppress(ValueError):
                data = json.dumps(_timeless(json.loads(data)), sort_keys=True).encode()
        if path.suffix in (".md", ".npz"):  # these hold seconds
            data = b""
        found[str(path.relative_to(folder))] = data
    return found


def _works(folder: Path) -> dict[str, Callable[[Path], int]]:
    """Return what is killed: each takes its output folder."""
    photos = folder / "photos"
    photos.mkdir(parents=True, exist_ok=True)
    for number, scene in enumerate(bundled_scenes()[:9]):
        shutil.copy(scene.image, photos / f"{number}.png")
    labels, raster = folder / "labels", _raster(folder / "scene.tif", bundled_scenes()[0].image)
    files = ("--format", "labels,overlay,coco,labelme,csv")
    label = ("segment", str(photos), *WORDS, *MODEL, *SMALL)
    run_in_child(lambda: main([*label, "--format", "labels", "--out", str(labels)]))

    def caches(out: Path) -> int:
        os.environ["LHTCLIP_CACHE"] = str(out)
        words = ",".join(f"word {number}" for number in range(300))
        given = ("segment", str(photos / "0.png"), "--classes", words, *MODEL, *SMALL)
        return main([*given, "--format", "csv", "--out", str(out / "results")])

    def calls(*given: str, to: str = "") -> Callable[[Path], int]:
        return lambda out: main([*given, "--out", str(out / to)])

    scenes = ("evaluate", "scenes", "--limit", "6", *MODEL, *SMALL)
    vector = ("--scores", "--window", "112", "--stride", "112", "--templates", "plain")
    return {
        "segment": calls(*label, *files),
        "evaluate": calls(*scenes, "--gallery", "2"),
        "calibrate": calls(
            *("calibrate", "--data", "scenes", "--limit", "2", *MODEL), to="lht.json"
        ),
        "raster": calls("raster", str(raster), *WORDS, *MODEL, *vector, to="map.tif"),
        "convert": calls(
            "convert",
            str(labels),
            "--to",
            "coco,yolo-semantic,voc",
            "--images",
            str(photos),
            "--quiet",
        ),
        "export": calls("export", *MODEL, to="graph.onnx"),
        "caches": caches,
    }


def _timeless(content: Any) -> Any:
    if isinstance(content, dict):
        return {
            key: _timeless(value)
            for key, value in content.items()
            if not any(word in str(key) for word in ("second", "time", "speed", "date", "machine"))
        }
    return [_timeless(each) for each in content] if isinstance(content, list) else content


def _raster(path: Path, image: Path) -> Path:
    """Write an image four times side by side, as a raster with coordinates."""
    import rasterio

    levels = np.asarray(Image.open(image).convert("RGB"))
    bands = np.tile(levels, (2, 2, 1)).transpose(2, 0, 1)
    place = rasterio.Affine(0.5, 0, 400000, 0, -0.5, 5000000)
    form: dict[str, Any] = {"driver": "GTiff", "dtype": "uint8", "crs": "EPSG:32633"}
    size = {"count": 3, "height": bands.shape[1], "width": bands.shape[2], "transform": place}
    with rasterio.open(path, "w", **form, **size) as file:
        file.write(bands)
    return path
