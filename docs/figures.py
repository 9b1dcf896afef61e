"""Makes the figures and the numbers of `docs/how-it-works.md`: `python -m docs.figures`.

Everything comes from the model in the box and the scenes that come with the package. Numbers go
into the page between the comments that name them.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lhtclip.analysis.figures import ORANGE, canvas, styled
from lhtclip.analysis.trace import trace
from lhtclip.cli import main as lhtclip
from lhtclip.dense import DenseEncoder
from lhtclip.evaluation.scenes import scenes_confusion, vocabulary_of
from lhtclip.files import write_atomically
from lhtclip.images import read_image, to_pixels
from lhtclip.overlay import draw_classes
from lhtclip.scenes import Scene, bundled_scenes
from lhtclip.segmenter import Segmenter
from lhtclip.techniques.atr import AtrSettings, hoyer, replace_abnormal
from lhtclip.techniques.presets import Preset, preset_for
from lhtclip.techniques.she import enhance
from lhtclip.techniques.ssr import SsrSettings

PAGE = Path("docs/how-it-works.md")
IMAGES = Path("docs/images")
MODEL = "bundled"
# A scene, and where its anchor patch is: shares of its height and width.
SCENES = {"scene-07": (0.5, 0.5), "scene-12": (0.5, 0.5), "scene-21": (0.5, 0.5)}
PLANTED = ((3, 4), (3, 5), (8, 20), (15, 9), (17, 25))  # rows and columns of false tokens
SIDE = 336  # pixels of the shorter side, as the segmenter's default
