"""Hash what every method labels, so that a change of the code can show that no label moved.

`python scripts/label_hashes.py PHOTOS > hashes.json` writes one SHA-256 a method, with and without
LHT, over the 24 bundled scenes and over a folder of photos. `--check hashes.json` compares instead.
Float32 on one CPU thread. Other processors round differently, so compare runs of one machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path

import torch

from lhtclip import Segmenter

METHODS = (
    *("clip", "maskclip", "sclip", "clearclip", "naclip", "resclip", "resclip-sfr"),
    *("scclip", "gem", "clip-surgery"),
)
WORDS = "person, dog|puppy, car, tree, sky, grass, building, food, water, cat"
SCENES = Path(__file__).parents[1] / "src/lhtclip/data/scenes"


def main() -> int:
    """Write the hashes, or compare them with a file of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="a folder of JPEG photos")
    parser.add_argument("--check", type=Path, help="hashes to compare with")
    options = parser.parse_args()
    torch.set_num_threads(1)
    images = {
        "scenes": sorted(SCENES.glob("scene-[0-9][0-9].png")),
        "photos": sorted(options.photos.glob("*.jpg")),
    }
    hashes = {
        f"{method}{' + LHT' if lht else ''}, {name}": _hash(method, paths, lht=lht)
        for method in METHODS
        for lht in (False, True)
        for name, paths in images.items()
    }
    if not options.check:
        print(json.dumps(hashes, indent=1))
        return 0
    expected = json.loads(options.check.read_text())
    moved = [name for name in expected if hashes.get(name) != expected[name]]
    print(f"{len(expected) - len(moved)} of {len(expected)} hashes equal", *moved, sep="\n")
    return 1 if moved else 0


def _hash(method: str, paths: list[Path], *, lht: bool) -> str:
    print(method, lht, len(paths), file=sys.stderr)
    segmenter = Segmenter.from_pretrained(
        "bundled", method=method, lht=lht, device="cpu", dtype="float32", text_cache=False
    )
    digest = hashlib.sha256()
    for path in paths:
        digest.update(segmenter.segment(path, WORDS).labels.tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
