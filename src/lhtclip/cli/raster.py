"""`lhtclip raster`: label georeferenced rasters of any size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lhtclip.cli.console import Progress, print_path, say
from lhtclip.cli.options import (
    ENCODER,
    ENGINE,
    MACHINE,
    QUIET,
    VOCABULARY,
    vocabulary_of,
    with_options,
)
from lhtclip.errors import InputError, LhtClipError
from lhtclip.extras import import_extra

if TYPE_CHECKING:
    from lhtclip.maps.scenes import Scene


@click.command()
@click.argument("rasters", metavar="RASTER|FOLDER|ITEM.json...", nargs=-1, required=True)
@with_options(VOCABULARY)
@click.option(
    "--out",
    metavar="FILE|DIR",
    required=True,
    help="Output file (.tif), or a folder for several rasters.",
)
@click.option("--vector", metavar="FILE", help="Also write regions: .gpkg .geojson .fgb .parquet.")
@click.option("--asset", metavar="KEY", help="Asset of STAC items.  [default: visual]")
@click.option(
    "--bands", metavar="LIST", help="Bands to use as red, green and blue, counted from 1: 4,3,2."
)
@click.option("--range", "stretch", metavar="LOW,HIGH", help="Values to map to black and white.")
@click.option(
    "--percentiles", metavar="LOW,HIGH", default="2,98", help="How the range is chosen otherwise."
)
@click.option("--scale", type=float, default=1.0, help="Window pixels for each raster pixel.")
@click.option("--gsd", metavar="M", type=float, help="Metres per window pixel.")
@click.option("--grid", default="source", help="Labels per pixel of the 'source' or the 'windows'.")
@click.option(
    "--bbox",
    nargs=4,
    type=float,
    metavar="W S E N",
    help="Label only this box, in the raster's CRS.",
)
@click.option("--aoi", metavar="FILE", help="Set everything outside these polygons to nodata.")
@click.option("--alpha", default="mask", help="An alpha band may 'mask' pixels; or 'ignore' it.")
@click.option("--scores", is_flag=True, help="Also write the winner's probability.")
@click.option("--probabilities", is_flag=True, help="Also write every class's probability.")
@click.option("--min-area", type=int, default=0, help="Omit smaller regions from --vector.")
@click.option(
    "--simplify",
    type=float,
    default=0.0,
    help="Simplify the outlines of --vector by this many pixels.",
)
@click.option("--window", type=int, default=224, help="Side of a sliding window in pixels.")
@click.option("--stride", type=int, default=112, help="Pixels from one window to the next.")
@click.option("--flip", is_flag=True, help="Average with mirrored windows; twice the time.")
@click.option("--templates", default="imagenet80", help="Prompt templates, as for `segment`.")
@click.option("--dry-run", is_flag=True, help="Only count windows and estimate time and memory.")
@click.option("--overwrite", is_flag=True, help="Replace existing maps.")
@with_options(ENCODER, MACHINE, ENGINE, (QUIET,))
@click.pass_context
def command(context: click.Context, *, rasters: tuple[str, ...], **given: Any) -> None:
    """Label rasters with coordinates, of any size.

    Give files, folders of them, or STAC items. Writes a cloud-optimised GeoTIFF of class indices on
    the raster's grid, with names and colours for GIS, and a table of areas. Nodata stays nodata.
    Run an interrupted command again to continue after its last strip. Prints the paths of the files
    written; if one of several rasters fails, the others are labelled and the exit code is 1.
    """
    import_extra("rasterio", purpose="Maps")
    from lhtclip.maps.scenes import find_scenes

    vocabulary = vocabulary_of(
        given["classes"],
        given["classes_file"],
        background=given["background"],
        threshold=given["threshold"],
    )
    out = Path(given["out"])
    scenes, settings = find_scenes(rasters, asset=given["asset"], out=out), _settings(given)
    targets = _targets(scenes, out)

    from lhtclip.cli.load import config_of  # imports torch, which is slow
    from lhtclip.decoding.settings import DecodeSettings
    from lhtclip.image.windows import WindowSettings
    from lhtclip.maps.label import label_raster
    from lhtclip.maps.plan import describe
    from lhtclip.segmenter import Segmenter

    config = replace(
        config_of(given),
        windows=WindowSettings(window=given["window"], stride=given["stride"], flip=given["flip"]),
        decoding=DecodeSettings(threshold=given["threshold"]),
    )
    segmenter = Segmenter.from_config(config)
    failed = 0
    for scene, out in zip(scenes, targets, strict=True):
        try:
            if given["dry_run"]:
                click.echo(describe(segmenter, scene.path, vocabulary, settings))
                continue
            with Progress("windows", quiet=given["quiet"]) as progress:
                summary = label_raster(
                    segmenter,
                    scene.path,
                    vocabulary,
                    out,
                    settings=settings,
                    vector=_vector(given["vector"], out, many=len(scenes) > 1),
                    aoi=given["aoi"],
                    overwrite=given["overwrite"],
                    on_progress=progress,
                )
        except LhtClipError as error:
            if len(scenes) == 1:
                raise
            say(str(error))
            failed += 1
            continue
        if not given["quiet"] and summary.stretch != (0, 255):
            low, high = summary.stretch
            say(f"{scene.path}: values {low:g} to {high:g} became black to white (--range).")
        for path in summary.files:
            print_path(path)
    context.exit(1 if failed else 0)


def _settings(given: dict[str, Any]) -> Any:
    from lhtclip.maps.settings import MapSettings

    bands = _numbers(given["bands"], "--bands", "4,3,2", whole=True)
    stretch = _numbers(given["stretch"], "--range", "0,3000", count=2)
    percentiles = _numbers(given["percentiles"], "--percentiles", "2,98", count=2)
    return MapSettings(
        bands=tuple(int(band) for band in bands) if bands else None,
        stretch=(stretch[0], stretch[1]) if stretch else None,
        percentiles=(percentiles[0], percentiles[1]) if percentiles else (2.0, 98.0),
        bbox=given["bbox"] or None,
        **{
            name: given[name]
            for name in (
                *("scale", "gsd", "grid", "alpha", "scores", "probabilities"),
                *("min_area", "simplify"),
            )
        },
    )


def _numbers(
    text: str | None, option: str, example: str, *, count: int | None = None, whole: bool = False
) -> list[float] | None:
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if whole and not all(number.is_integer() for number in numbers):
        numbers = []
    if not numbers or (count is not None and len(numbers) != count):
        kind = "whole numbers" if whole else "numbers"
        raise InputError(f"{option} needs comma-separated {kind}, such as {example}, not {text!r}.")
    return numbers


def _targets(scenes: list[Scene], out: Path) -> list[Path]:
    if out.suffix.lower() in (".tif", ".tiff"):
        if len(scenes) > 1:
            raise InputError(
                f"{len(scenes)} rasters cannot become one map. Give --out a folder, or build a "
                "mosaic first: gdalbuildvrt mosaic.vrt *.tif."
            )
        return [out]
    targets = [out / f"{scene.name}.tif" for scene in scenes]
    if len(set(targets)) < len(targets):
        raise InputError("Two rasters have the same name and would become the same map.")
    out.mkdir(parents=True, exist_ok=True)
    return targets


def _vector(vector: str | None, out: Path, *, many: bool) -> Path | None:
    if vector is None:
        return None
    return out.with_suffix(Path(vector).suffix) if many else Path(vector)
