"""Files of one run in all formats, and the labels that they were made of.

`make test-readers` writes them and runs this folder in an environment of its own, which holds the
programs but not torch. Anywhere else these tests are skipped.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

FOLDER = os.environ.get("LHTCLIP_READER_FILES")
NAMES = ("background", "dog", "pizza", "grass")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not FOLDER:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="make test-readers runs these"))


@pytest.fixture(scope="session")
def out() -> Path:
    return Path(str(FOLDER)).resolve()


@pytest.fixture(scope="session")
def labels(out: Path) -> dict[str, np.ndarray]:
    """The class indices of each image, by its name without the suffix."""
    record = json.loads((out / "classes.json").read_text(encoding="utf-8"))
    assert tuple(each["name"] for each in record["classes"]) == NAMES
    return {stem: np.asarray(Image.open(out / f"{stem}.png")) for stem in ("a", "sub/ünö b")}
