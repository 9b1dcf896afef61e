"""Read one of our folders with CVAT's importer, and print each image's labels as a PNG's path.

Usage: cvat_importer.py CHECKOUT FORMAT FOLDER OUT, with a checkout of github.com/cvat-ai/datumaro.
It has the same name as another package that we test, hence a process of its own.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

CHECKOUT, FORMAT, FOLDER, OUT = sys.argv[1:]
sys.path.insert(0, CHECKOUT)


def main() -> None:
    from datumaro.components.annotation import AnnotationType
    from datumaro.components.dataset import Dataset

    data = Dataset.import_from(FOLDER, FORMAT)
    names = [each.name for each in data.categories()[AnnotationType.label].items]
    found = {}
    for number, item in enumerate(data):
        masks = [(names[each.label], each.image.astype(bool)) for each in item.annotations]
        path = Path(OUT) / f"{number}.npz"
        np.savez(path, **{str(place): mask for place, (_, mask) in enumerate(masks)})
        found[item.id] = {"masks": str(path), "names": [name for name, _ in masks]}
    print(json.dumps(found))


main()
