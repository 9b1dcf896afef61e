"""The options of `lhtclip calibrate`, and their checks before torch is imported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lhtclip.batch.plan import check_folder
from lhtclip.errors import InputError


@dataclass(frozen=True, slots=True)
class CalibrateOptions:
    """The options of `lhtclip calibrate`, as typed; None if not given."""

    model: str
    data: str | None
    root: str | None
    limit: int | None
    seed: int
    images_for_heads: int | None
    method: str
    no_labels: bool
    images: str | None
    ranking: str | None
    stack: bool
    out: str
    work: str | None
    overwrite: bool
    device: str
    dtype: str
    max_pixels: int
    quiet: bool

    @property
    def counts(self) -> Path:
        """The folder with the counts of the candidates."""
        return Path(self.work) if self.work else Path(self.out).with_suffix(".calibration")

    def check(self) -> None:
        """Check everything that does not need torch.

        Raises:
            InputError: Options contradict each other, or the preset cannot be written.
        """
        out = Path(self.out)
        check_folder(out.parent)
        if out.exists() and not self.overwrite:
            raise InputError(f"{out} exists already. Choose another --out, or pass --overwrite.")
        labelled = {"data": self.data, "root": self.root, "images-for-heads": self.images_for_heads}
        others = {"images": self.images, "ranking": self.ranking}
        for name, value in (labelled if self.no_labels else others).items():
            if value is not None:
                without = "takes no" if self.no_labels else "is needed for"
                raise InputError(f"--no-labels {without} --{name}. See `lhtclip calibrate --help`.")
        if self.no_labels and self.stack:
            raise InputError("--stack compares by mIoU, which needs labels: leave out --no-labels.")
        if self.no_labels and self.images is None:
            raise InputError("Name the images to rank heads on: --images DIR.")
        if not self.no_labels and self.data is None:
            raise InputError("Name the labelled images to calibrate on: --data NAME --root DIR.")
