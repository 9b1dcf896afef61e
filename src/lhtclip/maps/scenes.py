"""What can be labelled: rasters, folders of rasters, and STAC items."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lhtclip.errors import InputError, reason_of
from lhtclip.extras import import_extra
from lhtclip.files.json_files import read_json
from lhtclip.image.files import files_below, warn_of_left_out

_SUFFIXES = (".tif", ".tiff", ".vrt", ".jp2")
_OTHERS = (".bil", ".ecw", ".hdf", ".img", ".jpeg", ".jpg", ".nc", ".ntf", ".png", ".sid", ".zip")
_NOTED = {suffix: "pass its path" for suffix in _OTHERS}
_PREFERRED = "visual"  # the asset of true colours, by the habit of most catalogues


@dataclass(frozen=True, slots=True)
class Scene:
    """A raster, and the name of its map without the suffix."""

    path: str
    name: str


def find_scenes(
    given: Sequence[str], *, asset: str | None = None, out: Path | None = None
) -> list[Scene]:
    """List the rasters of files, folders and STAC items.

    Args:
        given: Whatever GDAL reads; a folder, for the rasters in it and below; or the .json file of
            a STAC item, whose map gets the item's id as its name.
        asset: Key of the assets of STAC items; by default "visual", or the only raster.
        out: Where maps are written; rasters there are not taken from folders.

    Raises:
        InputError: A folder holds no raster, or an item has no such asset.
        MissingDependencyError: pystac is not installed, and there is an item.
    """
    found: list[Scene] = []
    for each in given:
        path = Path(each)
        if path.is_dir():
            found += [Scene(str(raster), raster.stem) for raster in _rasters_of(path, out)]
        elif path.suffix.lower() == ".json":
            found.append(_of_item(path, asset))
        else:
            found.append(Scene(each, path.stem))
    return found


def _rasters_of(folder: Path, out: Path | None) -> list[Path]:
    left_out: Counter[str] = Counter()
    rasters = files_below(folder, _SUFFIXES, left_out, noted=_NOTED)
    warn_of_left_out(folder, left_out)
    results = out and out.resolve()
    if results and results != folder.resolve():
        rasters = [path for path in rasters if not path.resolve().is_relative_to(results)]
    if not rasters:
        raise InputError(f"The folder {folder} holds no {', '.join(_SUFFIXES)}.")
    return rasters


def _of_item(path: Path, asset: str | None) -> Scene:
    pystac = import_extra("pystac", purpose="STAC items")
    try:
        item = pystac.Item.from_dict(read_json(path), href=os.path.abspath(path))
    except Exception as error:  # pystac raises whatever the damage trips
        raise InputError(f"Cannot read {path} as a STAC item: {reason_of(error)}.") from error
    rasters = [key for key, each in item.assets.items() if _is_raster(each)]
    wanted = asset or (_PREFERRED if _PREFERRED in item.assets else None)
    if wanted is None and len(rasters) == 1:
        wanted = rasters[0]
    if wanted not in item.assets:
        raise InputError(
            f"The STAC item {path} has no asset {wanted or _PREFERRED!r}. Choose one with --asset: "
            f"{', '.join(rasters or item.assets) or 'it has none at all'}."
        )
    return Scene(item.assets[wanted].get_absolute_href(), item.id)


def _is_raster(asset: Any) -> bool:
    kind = (asset.media_type or "").lower()
    return kind.startswith(("image/tiff", "image/jp2", "image/vnd.stac.geotiff")) and (
        "thumbnail" not in (asset.roles or [])
    )
