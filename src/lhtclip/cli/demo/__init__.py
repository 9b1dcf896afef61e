"""`lhtclip demo`: the package's own scenes, by three methods, in numbers and in pictures."""

from __future__ import annotations

from pathlib import Path

import click

from lhtclip.batch.plan import check_folder


@click.command()
@click.option("--out", metavar="DIR", default="demo", help="Where the pictures go.")
@click.option("--model", default="bundled", help="As for `lhtclip segment`.")
@click.option(
    "--scenes", metavar="DIR", help="A folder of other scenes.  [default: those of the package]"
)
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="Only the first N scenes.")
@click.option("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps.")
@click.option("--dtype", default="auto", help="auto, float32, bfloat16 or float16.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
def command(
    *,
    out: str,
    model: str,
    scenes: str | None,
    limit: int | None,
    device: str,
    dtype: str,
    quiet: bool,
) -> None:
    """Segment scenes whose truth is known, with plain CLIP, with SCLIP, and with LHT-CLIP on SCLIP.

    SCLIP is taken without the last block's residual connection and MLP, as the paper does. Printed
    are the mean IoU over all classes of the scenes in percent, and the pictures written: of each
    scene what LHT-CLIP finds (.overlay.png), and all side by side (.compare.png).
    """
    from lhtclip.datasets.scene_files import bundled_scenes, load_scenes

    check_folder(Path(out))
    chosen = (load_scenes(scenes) if scenes else bundled_scenes())[:limit]

    from lhtclip.cli.demo.run import compare_methods

    compare_methods(chosen, Path(out), model=model, device=device, dtype=dtype, quiet=quiet)
