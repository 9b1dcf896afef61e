"""Measure the server under load: clients over HTTP, memory, a kill and a stop in the middle.

`python -m benchmarks.server_load [--seconds 60] [--requests 2000]` starts servers of its own on
the loopback address, in the dtype that `--dtype auto` chooses. Clients send their next image when
the last one is answered, and 100 ms after a refusal. It needs Linux: memory and processor time are
read from /proc.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import io
import json
import signal
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import numpy as np
from PIL import Image

from benchmarks.harness import read_options
from benchmarks.results import Results, dtype_name
from benchmarks.served import Connection, Served, serve
from lhtclip import Segmenter, label_files
from lhtclip.datasets.scene_files import Scene, bundled_scenes

CLIENTS = (1, 4, 16, 64)
QUEUE = 16
BUDGET = 600.0  # seconds
Server = Sequence[str]  # options of `lhtclip serve`
_AGAIN = 0.1  # seconds after a refusal


@dataclass(slots=True)
class Tally:
    """What clients saw.

    Attributes:
        seconds: Duration of each request that was answered with labels.
        statuses: Number of answers by status; 0 for a connection that broke.
        wrong: Answers whose labels differ from the library's.
        clock: Seconds that all of it took.
    """

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: int = 0
    clock: float = 0.0

    def percentile(self, share: float) -> str:
        """Return a percentile of the answered requests, in milliseconds."""
        if len(self.seconds) < 2:
            return "-"
        return f"{1000 * float(np.quantile(self.seconds, share)):.0f}"


@dataclass(frozen=True, slots=True)
class Question:
    """A request and the labels that answer it, as a hash."""

    path: str
    body: bytes
    labels: str


def main(given: list[str] | None = None) -> Results:
    """Measure, print and save."""

    def more(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--seconds", type=float, default=60, help="for each number of clients")
        parser.add_argument("--requests", type=int, default=2000, help="over which memory is read")

    options, found = read_options(__doc__, budget=BUDGET, dtypes="auto", given=given, more=more)
    results = Results("server_load", options)
    dtype = dtype_name(options.fastest)
    server = ("--model", "bundled", "--dtype", dtype, "--queue", str(QUEUE))
    results.note(f"`lhtclip serve {' '.join(server)}`")
    scenes = bundled_scenes()
    segmenter = Segmenter.from_pretrained("bundled", device="cpu", dtype=dtype, text_cache=False)
    questions = [_question(segmenter, scene) for scene in scenes]
    _load(results, server, questions, 2 if options.quick else found.seconds)
    _memory(results, server, questions, 20 if options.quick else found.requests)
    _kill(results, server, questions)
    _stop(results, server, questions)
    _throughput(results, server, segmenter, scenes, questions, rounds=1 if options.quick else 3)
    results.save()
    return results


def _question(segmenter: Segmenter, scene: Scene) -> Question:
    classes = ", ".join(scene.names)
    labels = segmenter.segment(scene.image, classes).labels
    path = f"/v1/segment?classes={quote(classes)}"
    return Question(path, scene.image.read_bytes(), _hash(labels))


def _hash(labels: np.ndarray) -> str:
    return hashlib.sha256(labels.tobytes()).hexdigest()


def _load(results: Results, server: Server, questions: Sequence[Question], seconds: float) -> None:
    rows: list[Sequence[str]] = []
    with serve(*server) as served:
        asyncio.run(_ask(served.port, questions, 2, most=len(questions)))  # warms up
        for clients in CLIENTS:
            cpu = served.cpu
            tally = asyncio.run(_ask(served.port, questions, clients, seconds=seconds))
            answered = len(tally.seconds)
            refused = tally.statuses[503]
            others = sum(tally.statuses.values()) - answered - refused
            rows.append(
                (
                    str(clients),
                    f"{sum(tally.statuses.values()) / tally.clock:.1f}",
                    f"{answered / tally.clock:.2f}",
                    f"{1000 * (served.cpu - cpu) / max(answered, 1):.0f}",
                    *(tally.percentile(share) for share in (0.5, 0.95, 0.99)),
                    str(refused),
                    str(others),
                    str(tally.wrong),
                )
            )
    header = ("clients", "requests/s", "images/s", "CPU ms/image", "p50 ms", "p95 ms", "p99 ms")
    header = (*header, "503", "other errors", "wrong labels")
    results.table(f"{seconds:g} s each, queue of {QUEUE}, scenes of 336 × 448", header, rows)
    faults = sum(int(row[8]) + int(row[9]) for row in rows)
    results.goal("errors but 503, and wrong labels", "0", str(faults), reached=faults == 0)


def _memory(results: Results, server: Server, questions: Sequence[Question], requests: int) -> None:
    with Image.open(io.BytesIO(questions[0].body)) as picture, io.BytesIO() as file:
        picture.resize((64, 64)).save(file, format="PNG")
        small = file.getvalue()
    with serve(*server, "--cache", "16") as served:
        readings: list[float] = []
        for _ in range(5):
            asyncio.run(_mixed(served.port, small, requests // 5))
            readings.append(served.memory)
    text = ", ".join(f"{each:.0f}" for each in readings)
    grown = readings[-1] - readings[1]
    results.note(f"Resident memory after every {requests // 5} of {requests} requests: {text} MB.")
    results.goal(
        "memory gained after two fifths", "≤ 20 MB", f"{grown:.0f} MB", reached=grown <= 20
    )


async def _mixed(port: int, image: bytes, requests: int) -> None:
    """Upload an image with every tenth request, and ask for its classes with the others."""
    connection, identifier = Connection(port), ""
    for number in range(requests):
        if number % 10 == 0:
            status, answer = await connection.post("/v1/images", image)
            identifier = json.loads(answer)["id"]
        else:
            asked = json.dumps({"classes": f"dog, cat, thing {number % 50}"}).encode()
            path = f"/v1/images/{identifier}/segment"
            status, _ = await connection.post(path, asked, "application/json")
        if status >= 400:
            raise RuntimeError(f"The server answered {status}.")
    connection.close()


def _kill(results: Results, server: Server, questions: Sequence[Question]) -> None:
    """Kill the server under load; another on the same port answers as before."""

    async def killed(served: Served) -> Tally:
        async def kill() -> None:
            await asyncio.sleep(2)
            served.process.send_signal(signal.SIGKILL)

        tally, _ = await asyncio.gather(_ask(served.port, questions, 4, seconds=4), kill())
        return tally

    with serve(*server) as served:
        before = asyncio.run(killed(served))
        port = served.port
    with serve(*server, port=port) as served:
        after = asyncio.run(_ask(served.port, questions, 4, most=len(questions)))
    seen = {0: "a broken connection", 200: "labels", 503: "busy"}
    said = ", ".join(f"{seen.get(s, s)}: {n}" for s, n in sorted(before.statuses.items()))
    wrong, missing = before.wrong + after.wrong, len(questions) - len(after.seconds)
    results.note(f"kill -9 under load; clients saw {said}. A new server answered as before.")
    results.goal("wrong answers around a kill", "0", str(wrong + missing), reached=not wrong)


def _stop(results: Results, server: Server, questions: Sequence[Question]) -> None:
    """Stop the server under load; what it accepted is answered or refused."""

    async def stopped(served: Served) -> Tally:
        async def stop() -> None:
            await asyncio.sleep(2)
            served.process.send_signal(signal.SIGTERM)

        tally, _ = await asyncio.gather(_ask(served.port, questions, 8, most=10_000), stop())
        return tally

    with serve(*server) as served:
        tally = asyncio.run(stopped(served))
        code = served.process.wait(60)
    counts = dict(sorted(tally.statuses.items()))
    results.note(f"SIGTERM under load: {counts}, 0 for closed connections; exit code {code}.")
    good = code == 0 and set(counts) <= {0, 200, 503} and not tally.wrong
    results.goal("a stop under load answers 200 or 503", "yes", str(good), reached=good)


def _throughput(
    results: Results,
    server: Server,
    segmenter: Segmenter,
    scenes: Sequence[Scene],
    questions: Sequence[Question],
    *,
    rounds: int,
) -> None:
    """Compare busy clients with `label_files`, what `lhtclip segment` runs, round by round."""
    classes = ", ".join(sorted({name for scene in scenes for name in scene.names})[:20])
    path = f"/v1/segment?classes={quote(classes)}"
    images = [scene.image for scene in scenes]
    same = [Question(path, each.body, "") for each in questions]
    clock: list[float] = []
    work: list[float] = []
    with serve(*server) as served, tempfile.TemporaryDirectory() as folder:
        for number in range(rounds + 1):
            started, cpu = time.perf_counter(), time.process_time()
            out = Path(folder, str(number))
            label_files(images, classes, segmenter=segmenter, out=out, formats=["labels"])
            direct = (time.perf_counter() - started, time.process_time() - cpu)
            cpu = served.cpu
            tally = asyncio.run(_ask(served.port, same, 8, most=len(same)))
            if number:  # the first round warms up
                clock.append(direct[0] / tally.clock)
                work.append(direct[1] / (served.cpu - cpu))
    by_clock, by_work = statistics.median(clock), statistics.median(work)
    results.note(
        f"Throughput against `lhtclip segment`, {len(images)} images, 20 classes, 8 clients, "
        f"median of {rounds} rounds: {by_clock:.0%} by the clock (clients on the same cores), "
        f"{by_work:.0%} by processor time."
    )
    results.goal("server against segment", "≥ 90 %", f"{by_work:.0%}", reached=by_work >= 0.9)


async def _ask(
    port: int,
    questions: Sequence[Question],
    clients: int,
    *,
    seconds: float = float("inf"),
    most: int | None = None,
) -> Tally:
    """Let clients ask for some seconds, or until so many requests are answered."""
    tally, started, sent = Tally(), time.perf_counter(), 0

    async def client() -> None:
        nonlocal sent
        connection = Connection(port)
        while time.perf_counter() - started < seconds and (most is None or sent < most):
            question = questions[sent % len(questions)]
            sent += 1
            began = time.perf_counter()
            try:
                status, answer = await connection.post(question.path, question.body)
            except OSError:
                tally.statuses[0] += 1
                if most is not None:
                    return
                await asyncio.sleep(_AGAIN)
                continue
            tally.statuses[status] += 1
            if status == 200:
                tally.seconds.append(time.perf_counter() - began)
                tally.wrong += bool(question.labels) and _labels(answer) != question.labels
            else:
                await asyncio.sleep(_AGAIN)
        connection.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    tally.clock = time.perf_counter() - started
    return tally


def _labels(answer: bytes) -> str:
    png = base64.b64decode(json.loads(answer)["labels"])
    return _hash(np.array(Image.open(io.BytesIO(png))))


if __name__ == "__main__":
    main()
