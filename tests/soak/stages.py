"""What is done to the package: each stage works until its time is over, and counts."""

from __future__ import annotations

import json
import random
import resource
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np

from lhtclip.batch.label_files import label_files
from lhtclip.checkpoints.checkpoint import load_checkpoint
from lhtclip.checkpoints.hub import BUNDLED_FOLDER
from lhtclip.cli import COMMANDS, group, main
from lhtclip.datasets.scene_files import bundled_scenes
from lhtclip.errors import InputError, LhtClipError
from lhtclip.image.pixels import read_image
from lhtclip.image.windows import WindowSettings
from lhtclip.segmenter import Segmenter
from tests.soak.children import Ended, run_in_child
from tests.soak.damage import FORMATS, damaged, whole_image

QUICK = ("--model", "bundled", "--templates", "plain", "--quiet")
SIZES = ("--short-side", "64", "--window", "64", "--stride", "32")
NASTY = (
    *("", " ", "-1", "0", "1", "1.5", "nan", "inf", "1e999", "9" * 400, "None", "a\udcffb"),
    *("../..", "/", "/dev/zero", "/dev/full", "/proc/self/mem", "nowhere", "x" * 300, "y" * 5000),
    *(
        "cat,dog",
        "a|b",
        "{}",
        "%s",
        "\n",
        "\x1b[31m",
        "0,3000",
        "2%,98%",
        "4,3,2",
        "狗,猫",
        "-",
        "--",
    ),
)
NOT_FUZZED = ("serve", "demo")  # one never ends, the other has no input


@dataclass
class Tally:
    """What a stage did, by name, and every failure with the seed that brings it back."""

    counts: Counter[str] = field(default_factory=Counter[str])
    failures: list[str] = field(default_factory=list[str])

    def failed(self, what: str) -> None:
        """Note a failure."""
        self.failures.append(what)


def seeds(chance: random.Random, seconds: float) -> Iterator[int]:
    """Yield seeds until the time is over, one at least."""
    end = time.monotonic() + seconds
    yield chance.randrange(1 << 32)
    while time.monotonic() < end:
        yield chance.randrange(1 << 32)


def images(chance: random.Random, seconds: float, folder: Path) -> Tally:
    """Read damaged images, a hundred in a child."""
    tally = Tally()
    sound = {format: whole_image(format) for format in FORMATS}

    def read(seed: int) -> None:
        for number in range(100):
            data = damaged(sound[FORMATS[number % len(FORMATS)]], seed + number)
            with suppress(InputError):
                read_image(data, max_pixels=1 << 20)

    for seed in seeds(chance, seconds):
        ended = run_in_child(lambda: read(seed))  # noqa: B023
        tally.counts["damaged images"] += 100
        if ended.broken or "lhtclip" in ended.stderr:
            tally.failed(f"images, seed {seed}: {_last(ended)}")
    return tally


def folders(chance: random.Random, seconds: float, folder: Path) -> Tally:
    """Label folders of damaged images by the command; each result must be whole."""
    tally = Tally()
    sound = {format: whole_image(format) for format in FORMATS}
    for seed in seeds(chance, seconds):
        place = folder / "in"
        shutil.rmtree(folder, ignore_errors=True)
        place.mkdir(parents=True)
        for number in range(20):
            format = FORMATS[number % len(FORMATS)]
            suffix = {"JPEG": "jpg", "LZW": "tif", "JPEG2000": "jp2"}.get(format, format.lower())
            data = damaged(sound[format], seed + number) if number % 3 else sound[format]
            (place / f"{number}.{suffix}").write_bytes(data)
        given = ["segment", str(place), "--classes", "cat,dog", *QUICK, *SIZES]
        ended = run_in_child(lambda: main([*given, "--out", str(folder / "out")]))  # noqa: B023
        tally.counts["images labelled or refused by the command"] += 20
        labelled = len(list((folder / "out").glob("*.overlay.jpg")))
        if ended.broken or labelled < 7:
            tally.failed(f"folders, seed {seed}: {labelled} labelled, {_last(ended)}")
    return tally


def kills(chance: random.Random, seconds: float, folder: Path) -> Tally:
    """Kill runs at random moments; restarted, they end as undisturbed ones."""
    tally = Tally()
    works = _works(folder)
    expected: dict[str, dict[str, bytes]] = {}
    spent: dict[str, float] = {}
    for name, work in works.items():
        start, out = time.monotonic(), folder / f"{name}-undisturbed"
        ended = run_in_child(lambda: work(out), seconds=3600)  # noqa: B023
        if ended.code:
            tally.failed(f"kills, {name} undisturbed: {_last(ended)}")
            continue
        spent[name], expected[name] = time.monotonic() - start, _content(out)
    for seed in seeds(chance, seconds):
        draw = random.Random(seed)
        name = draw.choice([*expected])
        out, work = folder / f"{name}-killed", works[name]
        shutil.rmtree(out, ignore_errors=True)
        ended = run_in_child(lambda: work(out), kill_after=draw.uniform(0, spent[name]))  # noqa: B023
        again = run_in_child(lambda: work(out), seconds=3600)  # noqa: B023
        tally.counts[f"kills of {name}" if ended.code == -9 else "ended before the kill"] += 1
        left = [path.name for path in out.rglob(".lhtclip-*")]
        if again.code or left or _content(out) != expected[name]:
            tally.failed(f"kills of {name}, seed {seed}: {left} {_last(again)}")
    return tally


def arguments(chance: random.Random, seconds: float, folder: Path) -> Tally:
    """Call every command with nonsense: one line, an exit code of 0, 1 or 2, no hang."""
    tally = Tally()
    folder.mkdir(parents=True, exist_ok=True)
    names = [name for name in COMMANDS if name not in NOT_FUZZED]
    scene = str(bundled_scenes()[0].image)
    for seed in seeds(chance, seconds):
        draw = random.Random(seed)
        name = draw.choice(names)
        given = [name, *_nonsense(name, draw, scene)]
        ended = run_in_child(lambda: main(given), seconds=300)  # noqa: B023
        tally.counts["calls with nonsense"] += 1
        if ended.broken:
            tally.failed(f"arguments, seed {seed}: {given!r:.300}: {_last(ended)}")
    return tally


def checkpoints(chance: random.Random, seconds: float, folder: Path) -> Tally:
    """Load checkpoints with a damaged file."""
    tally = Tally()
    place = folder / "damaged"
    files = sorted(path for path in BUNDLED_FOLDER.iterdir() if path.is_file())

    def load() -> int:
        try:
            load_checkpoint(place)
        except LhtClipError:
            return 2
        return 0

    for seed in seeds(chance, seconds):
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(BUNDLED_FOLDER, place)
        victim = random.Random(seed).choice(files)
        data = victim.read_bytes()
        head = 4096 if victim.suffix == ".safetensors" else len(data)  # mostly the header decides
        (place / victim.name).write_bytes(damaged(data[:head], seed) + data[head:])
        ended = run_in_child(load)
        tally.counts["damaged checkpoints"] += 1
        if ended.broken:
            tally.failed(f"checkpoints, {victim.name}, seed {seed}: {_last(ended)}")
    return tally


def memory(chance: random.Random, seconds: float, folder: Path) -> Tally:
    """Encode images and settings of any size under a limit of the system."""
    tally = Tally()
    segmenter = Segmenter.from_pretrained("bundled", templates="plain", text_cache=False)

    def label(height: int, width: int, windows: WindowSettings) -> int:
        limit = 16 << 30
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        try:
            image = np.zeros((height, width, 3), np.uint8)
            segmenter.replace(windows=windows).segment(image, ["cat", "dog"])
        except InputError:
            return 2
        return 0

    for seed in seeds(chance, seconds):
        draw = random.Random(seed)
        height, width = (int(2 ** draw.uniform(0, 11)) for _ in range(2))
        short, stride = int(2 ** draw.uniform(4, 12)), int(2 ** draw.uniform(2, 7))
        windows = WindowSettings(short_side=short, window=draw.choice((224, None)), stride=stride)
        ended = run_in_child(lambda: label(height, width, windows), seconds=600)  # noqa: B023
        kind = {0: "images within the memory limit", 2: "images refused by the memory limit"}
        tally.counts[kind.get(ended.code, "images beyond the memory limit")] += 1
        if ended.code == -14:
            tally.counts["images that took longer than ten minutes"] += 1
        elif ended.broken:
            tally.failed(f"memory, seed {seed}: {height} x {width}, {windows}: {_last(ended)}")
    return tally


STAGES: dict[str, Callable[[random.Random, float, Path], Tally]] = {
    "images": images,
    "folders": folders,
    "kills": kills,
    "arguments": arguments,
    "checkpoints": checkpoints,
    "memory": memory,
}


def _works(folder: Path) -> dict[str, Callable[[Path], int | None]]:
    """Return what is killed: each takes its output folder."""
    photos = folder / "photos"
    photos.mkdir(parents=True, exist_ok=True)
    for number, scene in enumerate(bundled_scenes()[:6]):
        shutil.copy(scene.image, photos / f"{number}.png")
    segmenter = Segmenter.from_pretrained("bundled", templates="plain", text_cache=False)

    def segment(out: Path) -> None:
        label_files(
            photos, ["cat", "dog"], out, segmenter=segmenter, formats=("labels", "overlay", "coco")
        )

    def evaluate(out: Path) -> int:
        given = ["evaluate", "scenes", "--limit", "4", *QUICK, "--out", str(out), "--json"]
        return main(given)

    def export(out: Path) -> int:
        return main(["export", "--model", "bundled", "--out", str(out / "graph.onnx"), "--quiet"])

    def caches(out: Path) -> None:
        words = [f"word {number}" for number in range(200)]
        own = Segmenter.from_pretrained("bundled", text_cache=str(out))
        own.texts.encode(words)

    return {"segment": segment, "evaluate": evaluate, "export": export, "caches": caches}


def _content(folder: Path) -> dict[str, bytes]:
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


def _timeless(content: object) -> object:
    if isinstance(content, dict):
        return {
            key: _timeless(value)
            for key, value in content.items()
            if not any(word in str(key) for word in ("second", "time", "speed", "date", "machine"))
        }
    return [_timeless(each) for each in content] if isinstance(content, list) else content


def _nonsense(name: str, draw: random.Random, scene: str) -> Iterable[str]:
    """Draw arguments and options of a command, some sensible, most not."""
    command = group.get_command(click.Context(group), name)
    assert command is not None
    given: list[str] = []
    for option in command.params:
        if isinstance(option, click.Argument):
            given += [draw.choice((scene, draw.choice(NASTY))) for _ in range(draw.randrange(3))]
        elif draw.random() < 0.2:
            given.append(draw.choice(option.opts))
            if not getattr(option, "is_flag", False):
                given.append(draw.choice(NASTY))
    return given


def _last(ended: Ended) -> str:
    lines = ended.stderr.strip().splitlines()
    return f"exit {ended.code}, {lines[-1][:200] if lines else 'no message'}"
