"""From an image file to labels: ours against the usual way, and where our time goes.

`python -m benchmarks.end_to_end` takes the settings of SCLIP's evaluations; texts are embedded
already on both sides. What would take too much memory for others to run beside is run once, alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from benchmarks.alone import Alone, Skipped, peak_of, run_alone
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
from benchmarks.reference import UsualWay, decide_bytes
from benchmarks.results import Results, dtype_name, size, spread, times_as_fast
from benchmarks.stages import TOWER, measure_stages
from lhtclip.encoder import DenseEncoder
from lhtclip.segmenter import Segmenter
from lhtclip.techniques.settings import OFF, LhtSettings

BUDGET = 190.0  # seconds
LARGE = 3e9  # bytes; what needs more is run once, in a process of its own
OURS, LHT, USUAL = "ours", "ours with LHT", "usual way"


@dataclass(frozen=True, slots=True)
class Case:
    """An image of a data set.

    title: As in tables.
    dataset: Whose words and settings.
    height, width: Of the image, pixels.
    target: How many times as fast as the usual way in float32 ours should be; 0 for no goal.
    model: Other than the one that options name.
    slow: Left out of quick runs, and the usual way is run once, in float32.
    """

    title: str
    dataset: str
    height: int
    width: int
    target: float = 0
    model: str = ""
    slow: bool = False

    @property
    def usual_bytes(self) -> int:
        """What the usual way needs at least."""
        vocabulary = sclip_protocol(self.dataset).vocabulary()
        queries, classes = len(vocabulary.queries), len(vocabulary.names)
        return decide_bytes(queries, classes, (self.height, self.width))


CASES = (
    Case("VOC21", "voc21", 375, 500, target=8),
    Case("ADE20K", "ade20k", 512, 683, target=8),
    Case("COCO-Object", "coco_object", 480, 640, target=60),
    Case("Cityscapes", "cityscapes", 1024, 2048, slow=True),
    Case("24 megapixels, ADE20K's words", "ade20k", 4000, 6000, slow=True),
    Case("VOC21, ViT-L/14", "voc21", 375, 500, model="ViT-L-14", slow=True),
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
                results.note(f"{case.title}: left out, the time is used up.")
                continue
            share = options.clock.left / (len(cases) - index)
            _measure_case(case, options, results, Path(folder), budget=share)
    results.save()
    return results


def _measure_case(
    case: Case, options: Options, results: Results, folder: Path, *, budget: float
) -> None:
    path = save_photo(folder / f"{case.height}x{case.width}.jpg", case.height, case.width)
    fastest = options.fastest
    works = _ours(case, options, folder, path)
    works_usual, peaks = _usual(case, options, folder, path)
    works |= works_usual
    times = measure(works, budget=0.6 * budget, device=options.device)
    times |= {
        key: Times((run.seconds,))
        for key, run in peaks.items()
        if key not in times and isinstance(run, Alone)
    }
    if not options.quick:
        ours = partial(prepare_ours, case, options, fastest, folder, path)
        peaks[f"{OURS}, {dtype_name(fastest)}"] = run_alone(ours, options)
    results.keep(case.title, times)
    _report(case, times, peaks, options, results)
    stages = measure_stages(
        case.title,
        _segmenter(case, options, fastest, folder),
        path,
        sclip_protocol(case.dataset).vocabulary(),
        None if case.slow else preset_of(_model(case, options)).select(lht=True),
        options,
        results,
        budget=0.25 * budget,
    )
    usual = times.get(f"{USUAL}, float32")
    if case.target and usual:
        bound = times_as_fast(usual.median / stages[TOWER].median)
        results.note(
            f"{case.title}: if our tower were all that took time, the factor would be {bound}."
        )


def _ours(case: Case, options: Options, folder: Path, path: Path) -> dict[str, Work]:
    works = {
        f"{OURS}, {dtype_name(dtype)}": prepare_ours(case, options, dtype, folder, path)
        for dtype in options.dtypes
    }
    if not case.slow:
        key = f"{LHT}, {dtype_name(options.fastest)}"
        works[key] = prepare_ours(case, options, options.fastest, folder, path, lht=True)
    return works


def _usual(
    case: Case, options: Options, folder: Path, path: Path
) -> tuple[dict[str, Work], dict[str, Alone | Skipped]]:
    """Return what is to be timed beside ours, and what was run alone."""
    works: dict[str, Work] = {}
    runs: dict[str, Alone | Skipped] = {}
    first = options.dtypes[0]
    for dtype in (first,) if case.slow else options.dtypes:
        key = f"{USUAL}, {dtype_name(dtype)}"
        usual = partial(prepare_usual, case, options, dtype, folder, path)
        beside = not case.slow and case.usual_bytes <= LARGE
        if beside:
            works[key] = usual()
        if not options.quick and (dtype == first or not beside):
            runs[key] = run_alone(usual, options, needs=case.usual_bytes)
    return works, runs


def _report(
    case: Case,
    times: Mapping[str, Times],
    peaks: Mapping[str, Alone | Skipped],
    options: Options,
    results: Results,
) -> None:
    baseline = times.get(f"{USUAL}, float32")
    rows: list[tuple[str, ...]] = []
    for key in dict.fromkeys((*times, *peaks)):
        each, peak = times.get(key), peaks.get(key)
        if each is None:
            rows.append((key, "-", "-", "-"))
        else:
            factor = times_as_fast(ratio(baseline, each)) if baseline else "-"
            rows.append((key, spread(each), factor, size(peak_of(peak))))
        if isinstance(peak, Skipped):
            results.note(f"{case.title}, {key}: left out, {peak.reason}.")
    protocol = sclip_protocol(case.dataset)
    vocabulary = protocol.vocabulary()
    results.table(
        f"{case.title}: {case.height} × {case.width} pixels, {len(vocabulary.names)} classes, "
        f"{len(vocabulary.queries)} queries, {case.model or options.model}",
        ("", "file to labels", "against the usual way, float32", "memory at the most"),
        rows,
    )
    if case.target:
        ours = times[f"{OURS}, {dtype_name(options.fastest)}"]
        factor = ratio(baseline, ours) if baseline else None
        results.goal(
            f"end to end, {case.height}×{case.width}, {case.title} ({len(vocabulary.queries)} "
            "queries), against the usual way in float32",
            f"{case.target:g}×",
            times_as_fast(factor) if factor else "not measured",
            reached=None if factor is None else factor >= case.target,
        )


def prepare_ours(
    case: Case,
    options: Options,
    dtype: torch.dtype,
    folder: Path,
    path: Path,
    *,
    lht: bool = False,
) -> Work:
    """Return what labels the image our way; something small has gone that way before."""
    segmenter = _segmenter(case, options, dtype, folder, lht=lht)
    vocabulary = sclip_protocol(case.dataset).vocabulary()
    label(segmenter, np.zeros((8, 8, 3), np.uint8), vocabulary)
    return partial(label, segmenter, path, vocabulary)


def _segmenter(
    case: Case, options: Options, dtype: torch.dtype, folder: Path, *, lht: bool = False
) -> Segmenter:
    """SCLIP as published; with LHT as the paper has it."""
    model = _model(case, options)
    checkpoint = checkpoint_of(model, folder=folder, dtype=dtype, device=options.device)
    settings: LhtSettings = preset_of(model).select(lht=True) if lht else OFF
    encoder = DenseEncoder(checkpoint.model, method="sclip", lht=settings)
    protocol = sclip_protocol(case.dataset)
    return segmenter_of(checkpoint, encoder, protocol, protocol.vocabulary(), folder)


@torch.inference_mode()
def prepare_usual(
    case: Case, options: Options, dtype: torch.dtype, folder: Path, path: Path
) -> Work:
    """Return what labels the image the usual way; something small has gone that way before."""
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


def _model(case: Case, options: Options) -> str:
    """Return the case's own shape, unless options ask for another than the usual one."""
    return case.model if case.model and options.model == "ViT-B-16" else options.model


if __name__ == "__main__":
    main()
