"""Labelled arrays: an `xarray.DataArray` with coordinates in, one of class indices out."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lhtclip.errors import InputError
from lhtclip.extras import import_extra
from lhtclip.maps.label import label_raster
from lhtclip.maps.settings import MapSettings
from lhtclip.segmenter import Segmenter
from lhtclip.text.parsing import Classes
from lhtclip.text.vocabulary import Vocabulary


def label_array(
    segmenter: Segmenter,
    array: Any,
    classes: Classes | Vocabulary,
    *,
    settings: MapSettings | None = None,
    background: str | Sequence[str] | None = None,
) -> Any:
    """Label every pixel of a data array as `label_raster` labels a file of the same values.

    Args:
        segmenter: Model, method and window size.
        array: An `xarray.DataArray` with the dimensions (band, y, x) or (y, x).
        classes: As in `Segmenter.segment`.
        settings: As in `label_raster`; settings of other outputs have no effect.
        background: Prompts for pixels of no class; they become class 0.

    Returns:
        An `xarray.DataArray` (y, x) of class indices with the same coordinates and CRS. Its
        attributes `flag_values` and `flag_meanings` name the classes (CF conventions, 3.5).

    Raises:
        InputError: The dimensions are others, or as in `label_raster`.
        MissingDependencyError: rioxarray or rasterio is not installed.
    """
    rioxarray = import_extra("rioxarray", purpose="Labelled arrays")
    vocabulary = (
        classes
        if isinstance(classes, Vocabulary)
        else Vocabulary.of(classes, background=background, threshold=segmenter.decoding.threshold)
    )
    if array.dims[-2:] != ("y", "x") or array.ndim > 3:
        raise InputError(
            f"The array must have the dimensions (band, y, x) or (y, x), got {array.dims}; "
            "array.transpose and array.rename change them."
        )
    with tempfile.TemporaryDirectory() as folder:
        scene, out = Path(folder) / "array.tif", Path(folder) / "map.tif"
        array.rio.to_raster(scene)
        label_raster(segmenter, scene, vocabulary, out, settings=settings)
        with rioxarray.open_rasterio(out) as made:
            labels = made.squeeze("band", drop=True).load()
    if labels.shape == array.shape[-2:]:  # those of the file differ in their last digits
        kept = {name: array[name] for name in ("y", "x") if name in array.coords}
        labels = labels.assign_coords(kept)
    names = vocabulary.names
    labels.attrs |= {
        "flag_values": list(range(len(names))),
        "flag_meanings": " ".join(name.replace(" ", "_") for name in names),
    }
    return labels.rename("class")
