"""Write the map as a cloud-optimised GeoTIFF, with names and colours where GIS expect them.

rasterio cannot write category names, so they go into GDAL's sidecar file (`.aux.xml`), together
with a table of classes. QGIS also reads a style file (`.qml`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from numpy.typing import NDArray

from lhtclip.extras import import_extra
from lhtclip.files import put, write_atomically
from lhtclip.files.temporaries import temporary_beside
from lhtclip.maps.gdal_errors import gdal_writes
from lhtclip.maps.job import STEPS, Job
from lhtclip.maps.parts import Parts, Strip
from lhtclip.maps.settings import MapSettings
from lhtclip.segmentation import class_colours, label_dtype
from lhtclip.text.vocabulary import Vocabulary

_BLOCK = 512  # pixels
_FIELDS = (  # of GDAL's raster attribute table: name, type, usage
    ("Value", 0, 5),
    ("Class", 2, 2),
    ("Red", 0, 6),
    ("Green", 0, 7),
    ("Blue", 0, 8),
)


def write_map(
    out: Path, job: Job, parts: Parts, vocabulary: Vocabulary, settings: MapSettings
) -> list[Path]:
    """Assemble the strips.

    Returns:
        The files written: the map, its sidecar files, and those of scores and probabilities.
    """
    names = vocabulary.names
    colours = class_colours(len(names), background=vocabulary.background)
    dtype = label_dtype(len(names))
    nodata = int(np.iinfo(dtype).max)

    def describe(dataset: Any) -> None:
        dataset.set_band_description(1, "class")
        dataset.update_tags(**_reading(job))
        if dtype == np.uint8:
            table = {i: (*map(int, colour), 255) for i, colour in enumerate(colours)}
            dataset.write_colormap(1, table | {nodata: (0, 0, 0, 0)})

    _write_cog(out, job, parts, lambda strip: strip.labels[None], 1, dtype, nodata, describe)
    files = [out, _write_pam(out, names, colours), _write_qml(out, names, colours)]
    for wanted, suffix, bands, read in (
        (settings.scores, "scores", ("score",), _scores),
        (settings.probabilities, "probabilities", names, _probabilities),
    ):
        if wanted:
            path = out.with_name(f"{out.stem}.{suffix}.tif")
            _write_cog(path, job, parts, read, len(bands), np.dtype(np.uint8), 255, _scaled(bands))
            files.append(path)
    return files


def _reading(job: Job) -> dict[str, str]:
    """Describe how the raster was read, for the metadata of the map."""
    source = job.source
    return {
        "LHTCLIP_BANDS": ",".join(map(str, source.bands)),
        "LHTCLIP_RANGE": f"{source.low:g},{source.high:g}",
        "LHTCLIP_SCALE": f"{source.scale:g}",
    }


def _scores(strip: Strip) -> NDArray[Any]:
    assert strip.scores is not None  # the record of the strips guarantees it
    return strip.scores[None]


def _probabilities(strip: Strip) -> NDArray[Any]:
    assert strip.probabilities is not None
    return strip.probabilities


def _scaled(bands: tuple[str, ...]) -> Callable[[Any], None]:
    def describe(dataset: Any) -> None:
        dataset.scales = [1 / STEPS] * len(bands)
        for number, name in enumerate(bands, start=1):
            dataset.set_band_description(number, name)

    return describe


def _write_cog(
    out: Path,
    job: Job,
    parts: Parts,
    read: Callable[[Strip], NDArray[Any]],
    count: int,
    dtype: np.dtype[Any],
    nodata: int,
    describe: Callable[[Any], None],
) -> None:
    """Write the strips to a tiled file, and convert it to a COG under its final name."""
    rasterio = import_extra("rasterio", purpose="Maps")
    windows = import_extra("rasterio.windows", purpose="Maps")
    copying = import_extra("rasterio.shutil", purpose="Maps")

    data = job.source.dataset
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "height": job.height,
        "width": job.width,
        "count": count,
        "dtype": str(dtype),
        "nodata": nodata,
        "crs": data.crs,
        "transform": job.transform,
        "tiled": True,
        "blockxsize": _BLOCK,
        "blockysize": _BLOCK,
        "compress": "DEFLATE",
        "BIGTIFF": "IF_SAFER",
        "photometric": "MINISBLACK",
    }
    with gdal_writes(out), _temporary_tiff(out) as tiles:
        with rasterio.open(tiles, "w", **profile) as dataset:
            for top, rows in _in_blocks(parts, read):
                window = windows.Window(0, top, job.width, rows.shape[1])
                dataset.write(rows, window=window)
            describe(dataset)
        with _temporary_tiff(out) as new:
            copying.copy(
                tiles,
                new,
                driver="COG",
                compress="DEFLATE",
                predictor="NO",
                overview_resampling="nearest",
                bigtiff="IF_SAFER",
                num_threads="1",
            )
            put(new, out)


def _in_blocks(
    parts: Parts, read: Callable[[Strip], NDArray[Any]]
) -> Iterator[tuple[int, NDArray[Any]]]:
    """Join strips into whole rows of blocks, because writing a block twice grows the file."""
    held: list[NDArray[Any]] = []
    top = 0
    for strip in parts:
        held.append(read(strip))
        rows = np.concatenate(held, axis=1)
        whole = rows.shape[1] // _BLOCK * _BLOCK
        if whole:
            yield top, rows[:, :whole]
        top, held = top + whole, [rows[:, whole:]]
    if held and held[0].shape[1]:
        yield top, held[0]


@contextmanager
def _temporary_tiff(out: Path) -> Generator[Path, None, None]:
    """Yield an unused path for a GeoTIFF; it is removed with the files that GDAL adds to it."""
    with temporary_beside(out, suffix=".tif") as path:
        try:
            yield path
        finally:
            path.with_name(path.name + ".aux.xml").unlink(missing_ok=True)


def _write_pam(out: Path, names: tuple[str, ...], colours: NDArray[np.uint8]) -> Path:
    categories = "".join(f"<Category>{escape(name)}</Category>" for name in names)
    fields = "".join(
        f'<FieldDefn index="{i}"><Name>{name}</Name><Type>{kind}</Type><Usage>{usage}</Usage>'
        "</FieldDefn>"
        for i, (name, kind, usage) in enumerate(_FIELDS)
    )
    rows = "".join(
        f'<Row index="{i}"><F>{i}</F><F>{escape(name)}</F>'
        + "".join(f"<F>{int(level)}</F>" for level in colour)
        + "</Row>"
        for i, (name, colour) in enumerate(zip(names, colours, strict=True))
    )
    text = (
        f'<PAMDataset><PAMRasterBand band="1"><CategoryNames>{categories}</CategoryNames>'
        f'<GDALRasterAttributeTable tableType="thematic">{fields}{rows}'
        "</GDALRasterAttributeTable></PAMRasterBand></PAMDataset>\n"
    )
    return write_atomically(out.with_name(out.name + ".aux.xml"), text.encode())


def _write_qml(out: Path, names: tuple[str, ...], colours: NDArray[np.uint8]) -> Path:
    entries = "".join(
        f'<paletteEntry value="{i}" label={quoteattr(name)} color="#{bytes(colour).hex()}" '
        'alpha="255"/>'
        for i, (name, colour) in enumerate(zip(names, colours, strict=True))
    )
    text = (
        '<!DOCTYPE qgis PUBLIC "http://mrcc.com/qgis.dtd" "SYSTEM">\n<qgis><pipe>'
        '<rasterrenderer type="paletted" band="1" opacity="1" alphaBand="-1">'
        f"<colorPalette>{entries}</colorPalette></rasterrenderer></pipe></qgis>\n"
    )
    return write_atomically(out.with_suffix(".qml"), text.encode())
