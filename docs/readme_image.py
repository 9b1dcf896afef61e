"""Draw the first image of the README: `python -m docs.readme_image`.

The scene is not picked by hand: of the bundled scenes it is the one with the median pixel accuracy.
Label maps are drawn in the full colours of the legend, and the file keeps every colour.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from lhtclip import Segmentation, Segmenter
from lhtclip.datasets.scene_files import Scene, bundled_scenes
from lhtclip.files import write_atomically
from lhtclip.output.overlay import add_legend
from lhtclip.output.png import encode_picture
from lhtclip.output.side_by_side import side_by_side

PATH = Path(__file__).with_name("images") / "readme.png"


def main() -> None:
    """Draw the median scene and print which one it is."""
    scenes = bundled_scenes()
    segmenter = Segmenter.from_pretrained("bundled", device="cpu", dtype="float32")
    accuracies = [accuracy(scene, found(segmenter, scene)) for scene in scenes]
    median = int(np.argsort(accuracies)[len(scenes) // 2])
    write_atomically(PATH, encode_picture(drawn(scenes[median])))
    print(f"{scenes[median].name}: {100 * accuracies[median]:.1f} % of the pixels are right")


def found(segmenter: Segmenter, scene: Scene) -> Segmentation:
    """Label a scene with its own candidate classes."""
    return segmenter.segment(scene.image, [list(prompts) for prompts in scene.classes])


def accuracy(scene: Scene, result: Segmentation) -> float:
    """Return the share of pixels with the right class."""
    return float((result.labels == scene.truth()).mean())


def drawn(scene: Scene) -> Image.Image:
    """Draw the image, the ground truth, and the labels of CLIP and of LHT-CLIP."""
    plain, lht = (
        found(Segmenter.from_pretrained("bundled", device="cpu", dtype="float32", **each), scene)
        for each in ({"method": "clip", "lht": False}, {"method": "sclip", "lht": True})
    )
    results = {
        "ground truth": replace(lht, labels=scene.truth()),
        "CLIP": plain,
        "SCLIP + LHT": lht,
    }
    with Image.open(scene.image) as opened:
        panels = {"image": opened.convert("RGB")}
    panels |= {name: Image.fromarray(lht.colours[each.labels]) for name, each in results.items()}
    sheet = side_by_side(panels, height=lht.labels.shape[0])
    shares = sum(np.array(list(each.coverage().values())) for each in results.values())
    present = [int(index) for index in np.argsort(-shares) if shares[index] > 0]
    return add_legend(sheet, present, lht.names, lht.colours)


if __name__ == "__main__":
    main()
