"""Everything that `lhtclip segment` can be told, as one record."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from lhtclip.errors import InputError
from lhtclip.vocabulary import Vocabulary, read_classes_file


@dataclass(frozen=True, slots=True)
class SegmentOptions:
    """The options as they were typed; None stands for "as it is by default"."""

    images: tuple[str, ...]
    classes: str | None
    classes_file: str | None
    background: str | None
    threshold: float
    model: str
    method: str
    lht: bool
    atr: bool | None
    ssr: bool | None
    she: bool | None
    residual: bool | None
    mlp: bool | None
    preset: str | None
    templates: str
    short_side: int
    window: int  # 0: the whole image
    stride: int
    batch: int
    logit_scale: float
    out: str
    formats: str
    overwrite: bool
    device: str
    dtype: str
    max_pixels: int
    as_json: bool
    quiet: bool

    def vocabulary(self) -> Vocabulary:
        """Read and check the words.

        Raises:
            InputError: The words cannot be used, or were given in both ways or in none.
        """
        if self.classes is not None and self.classes_file is not None:
            raise InputError("Give either --classes or --classes-file, not both.")
        if self.classes is not None:
            words = self.classes
        elif self.classes_file is not None:
            words = read_classes_file(Path(self.classes_file))
        else:
            raise InputError("Say what to look for, such as --classes 'car, road, person|rider'.")
        return Vocabulary.of(words, background=self.background, threshold=self.threshold)

    def check_numbers(self) -> None:
        """Check the numbers that nothing else checks before a model is loaded.

        Raises:
            InputError: One is out of range.
        """
        if not (math.isfinite(self.logit_scale) and self.logit_scale > 0):
            raise InputError(f"--logit-scale must be above 0, not {self.logit_scale:g}.")
        if self.max_pixels < 1:
            raise InputError(f"--max-pixels must be at least 1, not {self.max_pixels}.")
        if self.window < 0:
            raise InputError(f"--window must be 0 or more pixels, not {self.window}.")
