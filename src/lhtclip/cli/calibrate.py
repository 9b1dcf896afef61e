"""`lhtclip calibrate`: its options; the work is in `calibration`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from lhtclip.cli.options import check_numbers, machine_options
from lhtclip.cli.plan import check_folder
from lhtclip.errors import InputError


@click.command()
@click.option(
    "--model",
    default="ViT-B-16",
    help="Short name (`lhtclip models`), id on the hub, or folder.",
)
@click.option(
    "--data", metavar="NAME", help="Labelled pictures (`lhtclip datasets list`), such as folder."
)
@click.option("--root", metavar="DIR", help="Holds the data set, or is it.")
@click.option("--limit", metavar="N", type=click.IntRange(min=2), help="Only N of the pictures.")
@click.option("--seed", type=int, default=0, help="Decides which, and which of them rank heads.")
@click.option(
    "--images-for-heads",
    metavar="N",
    type=click.IntRange(min=1),
    help="Pictures that rank heads; settings are searched on the others.  [default: half]",
)
@click.option("--method", default="sclip", help="Rule of the last block (`lhtclip methods`).")
@click.option("--no-labels", is_flag=True, help="Rank heads by --images, which nobody labelled.")
@click.option("--images", metavar="DIR", help="Pictures for --no-labels: a folder or a glob.")
@click.option(
    "--ranking",
    metavar="NAME",
    help="What ranks heads without labels, see docs/label-free-heads.md.  [default: consensus]",
)
@click.option("--out", metavar="FILE", default="lht.json", help="The preset.")
@click.option(
    "--work", metavar="DIR", help="Keeps the counts so far.  [default: beside --out, .calibration]"
)
@click.option("--overwrite", is_flag=True, help="Replace --out; drop the counts in --work.")
@machine_options
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
def command(**given: Any) -> None:
    """Make a preset for a model: which heads, layers and settings of LHT-CLIP suit it.

    Some of the pictures rank the heads by visual discriminability and show the layers that lose it.
    On the others settings are searched by mIoU, one after the other; they are counted by the
    published protocol. Give pictures that you will never test on: a model is not to be judged on
    those that its settings were chosen on.

    With --no-labels, heads are ranked by what unlabelled pictures themselves say. Nothing is
    searched then: layers go by depth, and the rest is fixed.

    The preset goes to --out, with how it was made; every command takes it with --preset, and as
    lht.json in the folder of a checkpoint it is taken unasked. A run that was stopped goes on where
    it was. Printed is a table of the search, without labels one of the heads.
    """
    options = CalibrateOptions(**given)
    options.check()

    from lhtclip.cli import calibration  # brings torch, which takes its time

    if options.no_labels:
        calibration.calibrate_without_labels(options)
    else:
        calibration.calibrate(options)


@dataclass(frozen=True, slots=True)
class CalibrateOptions:
    """The options of `lhtclip calibrate` as they were typed; None was not given."""

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
    out: str
    work: str | None
    overwrite: bool
    device: str
    dtype: str
    max_pixels: int
    quiet: bool

    @property
    def counts(self) -> Path:
        """Where the counts of the candidates are kept."""
        return Path(self.work) if self.work else Path(self.out).with_suffix(".calibration")

    def check(self) -> None:
        """Check what can be checked without torch.

        Raises:
            InputError: Options do not go together, or the preset cannot be written.
        """
        out = Path(self.out)
        check_folder(out.parent)
        check_numbers(max_pixels=self.max_pixels, logit_scale=None, window=None)
        if out.exists() and not self.overwrite:
            raise InputError(f"{out} is there already. Choose another --out, or pass --overwrite.")
        labelled = {"data": self.data, "root": self.root, "images-for-heads": self.images_for_heads}
        others = {"images": self.images, "ranking": self.ranking}
        for name, value in (labelled if self.no_labels else others).items():
            if value is not None:
                without = "takes no" if self.no_labels else "is needed for"
                raise InputError(f"--no-labels {without} --{name}. See `lhtclip calibrate --help`.")
        if self.no_labels and self.images is None:
            raise InputError("Say which pictures to rank heads by: --images DIR.")
        if not self.no_labels and self.data is None:
            raise InputError("Say which labelled pictures to calibrate on: --data NAME --root DIR.")
