"""From an image file to labels: ours against the usual way, with our time by stage.

`python -m benchmarks.end_to_end` uses the settings of SCLIP's evaluations; both sides have cached
text embeddings. Runs that need too much memory to alternate with the others run once, alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from benchmarks.harness import Options, Times, Work, add_only, measure, ratio, read_options
from benchmarks.materials import (
    checkpoint_of,
    clip_of,
    label,
    preset_of,
    save_photo,
    sclip_protocol,
    segmenter_of,
)
from benchmarks.memory import Alone, run_alone
from benchmarks.reference import UsualWay, decide_bytes
from benchmarks.results import Results, dtype_name, percent, size, spread, times_as_fast
from benchmarks.stages import DECODE, TOWER, measure_stages
from lhtclip.encoder import DenseEncoder
from lhtclip.segmenter import Segmenter
from lhtclip.techniques.settings import OFF

BUDGET = 150.0  # seconds
LARGE = 3e9  # bytes; a run that needs more is done once, in its own process
LHT_SPEED = 0.95  # of the speed without the techniques, the goal
DECODE_SHARE = 0.1  # of the time of an image on a GPU, at most
OURS, BASE, LHT, USUAL = "ours", "ours, no residual, no MLP", "ours with LHT", "usual way"


@dataclass(frozen=True, slots=True)
class Case:
    """An image of a data set."""

    title: str
    dataset: str  # whose classes and settings
    height: int
    width: int
    target: float = 0  # goal: times as fast as the usual way in float32, 0 for none
    slow: bool = False  # left out of quick runs; the usual way is run once, in float32

    @property
    def usual_bytes(self) -> int:
        """Lower bound of the memory that the usual way needs."""
        vocabulary = sclip_protocol(self.dataset).vocabulary()
        queries, classes = len(vocabulary.queries), len(vocabulary.names)
        return decide_bytes(queries, classes, (self.height, self.width))


CASES = (
    Case("VOC21", "voc21", 375, 500, target=8),
    Case("ADE20K", "ade20k", 512, 683, target=8),
    Case("COCO-Object", "coco_object", 480, 640, target=60),
    Case("Cityscapes", "cityscapes", 1024, 2048, slow=True),
    Case("24 megapixels, ADE20K's words", "ade20k", 4000, 6000, slow=True),
)


def main(given: list[str] | None = None) -> Results:
    """Measure, print and save."""
    options, found = read_options(__doc__, budget=BUDGET, given=given, more=add_only)
    results = Results("end_to_end", options)
    cases = [case for case in CASES if found.only in case.title]
    cases = [case for case in cases if not (options.quick and case.slow)]
    with TemporaryDirectory() as folder:
        for index, case in enumerate(cases):
            if options.clock.left == 0 and index:
                results.note(f"{case.title}: left out, the time was used up.")
                continue
            share = options.clock.left / (len(cases) - index)
            _measure_case(case, options, results, Path(folder), budget=share)
    results.save()
    return results


def _measure_case(
    case: Case, options: Options, results: Results, folder: Path, *, budget: float
) -> None:
    path = save_photo(folder / f"{case.height}x{case.width}.jpg", case.height, case.width)
    works, alone = _usual(case, options, folder, path)
    works = _ours(case, options, folder, path) | works
    times = measure(works, budget=0.7 * budget, device=options.device)
    times |= {
        name: Times((run.seconds,))
        for name, run in alone.items()
        if name not in times and isinstance(run, Alone)
    }
    ours = f"{OURS}, {dtype_name(options.fastest)}"
    if not options.quick:
        prepare = partial(prepare_ours, case, options, options.fastest, folder, path)
        alone[ours] = run_alone(prepare, options.device)
    _report(case, times, alone, options, results)
    segmenter = _segmenter(case, options, options.fastest, folder)
    vocabulary = sclip_protocol(case.dataset).vocabulary()
    stages = measure_stages(
        case.title, segmenter, path, vocabulary, options, results, budget=0.2 * budget
    )
    usual = times.get(f"{USUAL}, float32")
    if case.target and usual:
        bound = times_as_fast(usual.median / stages[TOWER].median)
        results.note(f"{case.title}: if our tower took all the time, the factor would be {bound}.")
    if case.target and options.device.type == "cuda":
        share = stages[DECODE].median / sum(each.median for each in stages.values())
        results.goal(
            f"decode's share of an image, {case.title}",
            f"≤ {percent(DECODE_SHARE)}",
            percent(share),
            reached=share <= DECODE_SHARE,
        )


def _ours(case: Case, options: Options, folder: Path, path: Path) -> dict[str, Work]:
    prepare = partial(prepare_ours, case, options, folder=folder, path=path)
    works = {f"{OURS}, {dtype_name(dtype)}": prepare(dtype) for dtype in options.dtypes}
    if not case.slow:
        fastest = dtype_name(options.fastest)
        works[f"{BASE}, {fastest}"] = prepare(options.fastest, base=True)
        works[f"{LHT}, {fastest}"] = prepare(options.fastest, lht=True)
    return works


def _usual(
    case: Case, options: Options, folder: Path, path: Path
) -> tuple[dict[str, Work], dict[str, Alone | str]]:
    """Return the runs to time alternately with ours, and the results of those run alone."""
    works: dict[str, Work] = {}
    runs: dict[str, Alone | str] = {}
    first = options.dtypes[0]
    for dtype in (first,) if case.slow else options.dtypes:
        name = f"{USUAL}, {dtype_name(dtype)}"
        usual = partial(prepare_usual, case, options, dtype, folder, path)
        beside = not case.slow and case.usual_bytes <= LARGE
        if beside:
            works[name] = usual()
        if not options.quick and (dtype == first or not beside):
            runs[name] = run_alone(usual, options.device, needs=case.usual_bytes)
    return works, runs


def _report(
    case: Case,
    times: dict[str, Times],
    alone: dict[str, Alone | str],
    options: Options,
    results: Results,
) -> None:
    baseline = times.get(f"{USUAL}, float32")
    rows: list[tuple[str, ...]] = []
    for name in dict.fromkeys((*times, *alone)):
        own, run = times.get(name), alone.get(name)
        if isinstance(run, str):
            results.note(f"{case.title}, {name}: left out, {run}.")
        factor = times_as_fast(ratio(baseline, own)) if baseline and own else "-"
        peak = size(run.peak) if isinstance(run, Alone) else "-"
        rows.append((name, spread(own) if own else "-", factor, peak))
    vocabulary = sclip_protocol(case.dataset).vocabulary()
    words = f"{len(vocabulary.names)} classes, {len(vocabulary.queries)} queries"
    results.table(
        f"{case.title}: {case.height} × {case.width} pixels, {words}, {options.model}",
        ("", "file to labels", "against the usual way, float32", "peak memory"),
        rows,
    )
    fastest = dtype_name(options.fastest)
    if case.target and baseline:
        factor = ratio(baseline, times[f"{OURS}, {fastest}"])
        results.goal(
            f"end to end, {case.title}, {fastest} against the usual way in float32",
            f"≥ {case.target:g}×",
            times_as_fast(factor),
            reached=factor >= case.target,
        )
    if not case.slow:
        speed = 1 / ratio(times[f"{LHT}, {fastest}"], times[f"{BASE}, {fastest}"])
        results.goal(
            f"end to end, {case.title}, LHT on against off, {fastest}",
            f"≥ {percent(LHT_SPEED)} of the speed",
            percent(speed),
            reached=speed >= LHT_SPEED,
        )


def prepare_ours(
    case: Case,
    options: Options,
    dtype: torch.dtype,
    folder: Path,
    path: Path,
    *,
    base: bool = False,
    lht: bool = False,
) -> Work:
    """Return a function that labels the image our way, warmed up on a small image."""
    segmenter = _segmenter(case, options, dtype, folder, base=base, lht=lht)
    vocabulary = sclip_protocol(case.dataset).vocabulary()
    label(segmenter, np.zeros((8, 8, 3), np.uint8), vocabulary)
    return partial(label, segmenter, path, vocabulary)


def _segmenter(
    case: Case,
    options: Options,
    dtype: torch.dtype,
    folder: Path,
    *,
    base: bool = False,
    lht: bool = False,
) -> Segmenter:
    """SCLIP as published; the paper's baseline without residual and MLP; or with LHT."""
    checkpoint = checkpoint_of(options.model, folder=folder, dtype=dtype, device=options.device)
    encoder = DenseEncoder(
        checkpoint.model,
        method="sclip",
        lht=preset_of(options.model).select(lht=True) if lht else OFF,
        residual=False if base else None,
        mlp=False if base else None,
    )
    protocol = sclip_protocol(case.dataset)
    return segmenter_of(checkpoint, encoder, protocol, protocol.vocabulary(), folder)


@torch.inference_mode()
def prepare_usual(
    case: Case, options: Options, dtype: torch.dtype, folder: Path, path: Path
) -> Work:
    """Return a function that labels the image the usual way, warmed up on a small image."""
    segmenter = _segmenter(case, options, dtype, folder)
    vocabulary = sclip_protocol(case.dataset).vocabulary()
    usual = UsualWay(
        clip_of(segmenter.checkpoint),
        segmenter.texts.encode(vocabulary.queries),
        vocabulary.class_of_query,
        windows=segmenter.windows,
        decoding=segmenter.decoding,
    )
    usual.label_file(save_photo(folder / "small.jpg", 8, 8))
    return partial(usual.label_file, path)


if __name__ == "__main__":
    main()
