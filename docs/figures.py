"""Make the figures and numbers of "How it works": `python -m docs.figures`.

Everything comes from the bundled model and the bundled scenes. Numbers go
into the page between the comments that name them.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import textwrap
from pathlib import Path
from typing import Any

from docs.scene_figures import Step, planted_figure, save_small, scene_figure
from lhtclip.checkpoints.hub import BUNDLED_FOLDER
from lhtclip.checkpoints.known_models import BUNDLED
from lhtclip.cli import main as lhtclip
from lhtclip.datasets.samples import own_vocabulary
from lhtclip.datasets.scene_files import bundled_scenes
from lhtclip.datasets.scenes import read_scenes
from lhtclip.encoder import DenseEncoder
from lhtclip.evaluation.runner import evaluate
from lhtclip.files import write_atomically
from lhtclip.output.markdown import markdown_table
from lhtclip.segmenter import Segmenter
from lhtclip.techniques.presets import PRESET_FILE, Preset
from lhtclip.techniques.settings import LhtSettings

PAGE = Path(__file__).with_name("explanation") / "how-it-works.md"
IMAGES = Path(__file__).with_name("images")
# Scenes, and where the anchor patch of each lies: shares of its height and width.
SCENES = {"scene-17": (0.5, 0.15), "scene-12": (0.2, 0.27), "scene-07": (0.55, 0.75)}
PLANTED_SCENE = "scene-07"
# 4 windows are 2 scenes a batch: 12 batches for the confidence intervals.
ANALYZE = ("--model", BUNDLED, "--device", "cpu", "--dtype", "float32", "--batch", "4", "--quiet")


def main() -> None:
    """Draw all figures, then fill in the numbers."""
    preset = Preset.load(BUNDLED_FOLDER / PRESET_FILE)
    layers, heads, tokens = (analyzed(measure) for measure in ("layers", "heads", "tokens"))
    segmenters = steps_of(preset)
    numbers = {
        "layers": about_layers(layers),
        "heads": about_heads(heads, layers, preset),
        "tokens": about_tokens(tokens),
        "scenes": draw_scenes(segmenters, preset),
        "miou": about_miou(segmenters),
    }
    page = PAGE.read_text(encoding="utf-8")
    for name, text in numbers.items():
        page = filled(page, name, text)
    write_atomically(PAGE, page.encode())


def analyzed(measure: str) -> dict[str, Any]:
    """Run `lhtclip analyze`, keep its figure, and return its document."""
    with tempfile.TemporaryDirectory() as folder:
        code = lhtclip(["analyze", measure, *ANALYZE, "--figures", "--out", folder])
        if code:
            raise SystemExit(code)
        stem = Path(folder) / f"scenes.{measure}"
        shutil.copyfile(stem.with_name(f"{stem.name}.png"), IMAGES / f"how-{measure}.png")
        return json.loads(stem.with_name(f"{stem.name}.json").read_text(encoding="utf-8"))


def steps_of(preset: Preset) -> dict[str, tuple[LhtSettings, Segmenter]]:
    """Return segmenters with more and more of the techniques; "CLIP" is the plain model."""
    whole = Segmenter.from_pretrained(BUNDLED, device="cpu", dtype="float32", preset=preset)
    steps = {
        "no technique": LhtSettings(),
        "SSR": LhtSettings(ssr=preset.ssr),
        "SSR, ATR, SHE": LhtSettings(ssr=preset.ssr, atr=preset.atr, she=preset.she),
    }

    def segmenter(method: str, lht: LhtSettings, *, kept: bool) -> Segmenter:
        model = whole.checkpoint.model
        encoder = DenseEncoder(model, method=method, lht=lht, residual=kept, mlp=kept)
        return Segmenter(whole.checkpoint, encoder, whole.texts)

    found = {"CLIP": (LhtSettings(), segmenter("clip", LhtSettings(), kept=True))}
    for title, lht in steps.items():
        found[title] = (lht, segmenter("sclip", lht, kept=False))
    return found


def draw_scenes(segmenters: dict[str, tuple[LhtSettings, Segmenter]], preset: Preset) -> str:
    """Draw the scenes and report how many of their pixels are labelled correctly."""
    _, plain = segmenters["CLIP"]
    steps = [
        Step(title, lht, segmenter)
        for title, (lht, segmenter) in segmenters.items()
        if title != "CLIP"
    ]
    scenes = {scene.name: scene for scene in bundled_scenes()}
    rows: list[list[str]] = []
    for name, anchor in SCENES.items():
        figure, right = scene_figure(scenes[name], steps, plain, anchor=anchor)
        save_small(figure, IMAGES / f"how-{name}.png")
        cells = [f"{100 * share:.1f}" for title, share in right.items() if title != "truth"]
        rows.append([name, *cells])
    figure = planted_figure(scenes[PLANTED_SCENE], plain, preset.atr, anchor=SCENES[PLANTED_SCENE])
    save_small(figure, IMAGES / "how-atr.png", colours=None)
    header = ("pixels labelled right, %", "CLIP", "no technique", "SSR", "SSR, ATR, SHE")
    return markdown_table(header, rows)


def about_layers(document: dict[str, Any]) -> str:
    """Describe the layer curves."""
    rows = {row["layer"]: row for row in document["layers"]}
    best = max(rows, key=lambda layer: rows[layer]["discriminability"])
    ssr = document["ssr"]
    last = max(rows) - 1
    plain, kept = (rows[last][f"{prefix}discriminability"] for prefix in ("", "ssr_"))
    named, named_kept = (100 * rows[last][f"{prefix}alignment"] for prefix in ("", "ssr_"))
    return (
        f"Here layer {best} tells patches apart best, with an AUC of "
        f"{rows[best]['discriminability']:.3f}. What the last block is given, the output of layer "
        f"{last}, has {plain:.3f}; with SSR (α = {ssr['alpha']:g}, layers "
        f"{', '.join(map(str, ssr['layers']))}) it is {kept:.3f}, and the share of patches whose "
        f"nearest word is right goes from {named:.1f} to {named_kept:.1f} %."
    )


def about_heads(heads: dict[str, Any], layers: dict[str, Any], preset: Preset) -> str:
    """Describe the head bars."""
    candidates = [row for row in heads["heads"] if row["candidate"]]
    last = max(row["layer"] for row in layers["layers"])
    aucs = {row["layer"]: row["discriminability"] for row in layers["layers"][: last - 1]}
    best = max(aucs, key=lambda layer: aucs[layer])
    first = candidates[0]
    better = sum(row["discriminability"] > aucs[best] for row in candidates)
    chosen = preset.she.heads if preset.she else ()
    return (
        f"Here head {first['layer']}-{first['head']} (layer-head) alone has an AUC of "
        f"{first['discriminability']:.3f}, the whole of the best layer, {best}, {aucs[best]:.3f}; "
        f"{better} of the {len(candidates)} heads before the last block are better than that "
        f"layer. SHE uses {', '.join(f'{layer}-{head}' for layer, head in chosen)}, as the preset "
        f"says, which was made elsewhere ({preset.source})."
    )


def about_tokens(document: dict[str, Any]) -> str:
    """Describe the Hoyer scores."""
    entering = document["layers"][-2]
    abnormal, normal = (entering[kind]["count"] for kind in ("abnormal", "normal"))
    found = "none is" if not abnormal else f"{abnormal} are"
    return (
        f"Of the {abnormal + normal:,} patches that enter the last block in these scenes the "
        f"sparsest scores {entering['highest']:.2f}; the threshold is {document['threshold']:g}, "
        f"so {found} abnormal."
    )


def about_miou(segmenters: dict[str, tuple[LhtSettings, Segmenter]]) -> str:
    """Score all scenes."""
    rows: list[list[str]] = []
    dataset = read_scenes()
    for title, (_, segmenter) in segmenters.items():
        confusion = evaluate(segmenter, dataset, own_vocabulary(dataset)).confusion
        rows.append([title, f"{100 * confusion.mean_iou:.1f}"])
    return markdown_table(("mIoU over all 24 scenes, %", ""), rows)


def filled(page: str, name: str, text: str) -> str:
    """Put text between the comments that name it."""
    pattern = re.compile(rf"(<!-- {name}: by docs\.figures -->\n)[^<]*(<!-- end -->)")
    if not text.startswith("|"):
        text = textwrap.fill(text, 100, break_on_hyphens=False)
    page, found = pattern.subn(lambda match: f"{match[1]}{text}\n{match[2]}", page)
    if found != 1:
        raise SystemExit(f"{PAGE} has {found} places for {name!r}, not 1.")
    return page


if __name__ == "__main__":
    main()
