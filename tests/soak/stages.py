"""What is done to the package: each stage works until its time is over, and counts."""

from __future__ import annotations

import random
import resource
import shutil
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import click
import numpy as np

from lhtclip.checkpoints.checkpoint import load_checkpoint
from lhtclip.checkpoints.hub import BUNDLED_FOLDER
from lhtclip.cli import COMMANDS, group, main
from lhtclip.datasets.scene_files import bundled_scenes
from lhtclip.errors import InputError, LhtClipError
from lhtclip.image.pixels import read_image
from lhtclip.image.windows import WindowSettings
from lhtclip.segmenter import Segmenter
from tests.soak.children import run_in_child
from tests.soak.damage import FORMATS, damaged, whole_image
from tests.soak.kills import kills
from tests.soak.tally import Tally, last, seeds

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
SCENE = "SCENE"
LABEL = (SCENE, "--classes", "cat,dog", *QUICK, *SIZES)
SOUND = {  # calls that work, before nonsense is added
    "segment": LABEL,
    "evaluate": ("scenes", "--limit", "1", *QUICK, *SIZES),
    "raster": (SCENE, "--classes", "cat,dog", "--out", "map.tif", *QUICK),
    "calibrate": ("--data", "scenes", "--limit", "2", "--model", "bundled", "--quiet"),
    "verify": ("bundled",),
    "demo": ("--limit", "1"),
    "convert": ("lhtclip-out", "--to", "coco,voc,yolo"),
    "serve": ("--model", "bundled", "--port", "0"),
}
ENDLESS = {"serve": 10, "demo": 30}  # seconds after which these are killed, which is no failure


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
            tally.failed(f"images, seed {seed}: {last(ended)}")
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
            tally.failed(f"folders, seed {seed}: {labelled} labelled, {last(ended)}")
    return tally


def arguments(chance: random.Random, seconds: float, folder: Path) -> Tally:
    """Call every command with nonsense: one line, an exit code of 0, 1 or 2, no hang."""
    tally = Tally()
    folder.mkdir(parents=True, exist_ok=True)
    scene = str(bundled_scenes()[0].image)
    for seed in seeds(chance, seconds):
        draw = random.Random(seed)
        name = draw.choice([*COMMANDS])
        given = [name, *_nonsense(name, draw, scene)]
        end = ENDLESS.get(name)
        ended = run_in_child(lambda: main(given), seconds=300, kill_after=end)  # noqa: B023
        tally.counts["calls with nonsense"] += 1
        if ended.broken and not (end and ended.code == -signal.SIGKILL):
            tally.failed(f"arguments, seed {seed}: {given!r:.300}: {last(ended)}")
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
            tally.failed(f"checkpoints, {victim.name}, seed {seed}: {last(ended)}")
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
            tally.failed(f"memory, seed {seed}: {height} x {width}, {windows}: {last(ended)}")
    return tally


STAGES: dict[str, Callable[[random.Random, float, Path], Tally]] = {
    "images": images,
    "folders": folders,
    "kills": kills,
    "arguments": arguments,
    "checkpoints": checkpoints,
    "memory": memory,
}


def _nonsense(name: str, draw: random.Random, scene: str) -> Iterable[str]:
    """Draw arguments and options of a command: nonsense alone, or after a call that works."""
    context = click.Context(group)
    command, given = group.get_command(context, name), list[str]()
    while isinstance(command, click.Group):
        part = draw.choice(command.list_commands(context))
        given.append(part)
        command = command.get_command(context, part)
    assert command is not None
    sound = draw.random() < 0.6 and name in SOUND
    given += [scene if each == SCENE else each for each in SOUND[name]] if sound else []
    for option in command.params:
        if isinstance(option, click.Argument):
            most = 0 if sound else 2
            given += [
                draw.choice((scene, draw.choice(NASTY))) for _ in range(draw.randrange(1 + most))
            ]
        elif draw.random() < (0.06 if sound else 0.2):
            given.append(draw.choice(option.opts))
            if not getattr(option, "is_flag", False):
                given.append(draw.choice(NASTY))
    return given
