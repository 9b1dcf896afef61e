"""Label a raster: windows row by row, finished strips on disk, then the map and its side files."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lhtclip.batch.prefetch import in_order
from lhtclip.errors import InputError
from lhtclip.extras import import_extra
from lhtclip.maps.decode import decode_rows
from lhtclip.maps.geotiff import write_map
from lhtclip.maps.job import Job, translation
from lhtclip.maps.parts import Parts, locked, was_interrupted
from lhtclip.maps.settings import VECTOR_DRIVERS, MapSettings
from lhtclip.maps.source import Source
from lhtclip.maps.tables import write_areas
from lhtclip.maps.windows import WindowRows
from lhtclip.segmenter import Segmenter
from lhtclip.text.parsing import Classes
from lhtclip.text.vocabulary import Vocabulary

_IN_FLIGHT = 2  # strips that are decoded and written while the next windows are encoded


@dataclass(frozen=True, slots=True)
class Summary:
    """The outcome of `label_raster`.

    Attributes:
        out: The map.
        files: All files written, the map first.
        windows: Number of windows encoded.
        height: Rows of the map.
        width: Columns of the map.
        stretch: The raster's values that became black and white.
    """

    out: Path
    files: tuple[Path, ...]
    windows: int
    height: int
    width: int
    stretch: tuple[float, float]


def label_raster(
    segmenter: Segmenter,
    raster: str | Path,
    classes: Classes | Vocabulary,
    out: str | Path,
    *,
    settings: MapSettings | None = None,
    background: str | Sequence[str] | None = None,
    vector: str | Path | None = None,
    aoi: str | Path | None = None,
    overwrite: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Summary:
    """Label every pixel of a raster and write a map with the raster's coordinates.

    Windows are placed on the whole raster, so a part gets the same labels as in the whole. Memory
    depends on the raster's width, not on its height. An interrupted run continues after its last
    strip.

    Args:
        segmenter: Model, method and window size.
        raster: Any raster that GDAL can read.
        classes: As in `Segmenter.segment`.
        out: The map, a GeoTIFF (.tif) of class indices.
        settings: Bands, stretch, scale, extent, and what is written.
        background: Prompts for pixels of no class; they become class 0.
        vector: Also write the regions: .gpkg, .geojson, .fgb or .parquet.
        aoi: A vector file; pixels outside its polygons become nodata.
        overwrite: Replace an existing map.
        on_progress: Called with windows done and windows in all.

    Raises:
        InputError: Raster, classes or settings cannot be used, or `out` exists.
        MissingDependencyError: rasterio or another package is not installed.
    """
    rasterio = import_extra("rasterio", purpose="Maps")
    settings, out = settings or MapSettings(), Path(out)
    _check_outputs(raster, out, vector, overwrite)
    _check_settings(segmenter)
    vocabulary = (
        classes
        if isinstance(classes, Vocabulary)
        else Vocabulary.of(classes, background=background, threshold=segmenter.decoding.threshold)
    )
    with rasterio.Env(GDAL_CACHEMAX=settings.cache_mb << 20), ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())  # without coordinates, pixels are the grid
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        scored = replace(settings, scores=settings.scores or vector is not None)
        source = stack.enter_context(closing(Source(raster, scored)))
        job = Job.of(source, segmenter)
        fingerprint = _fingerprint(segmenter, vocabulary, source, scored, aoi)
        stack.enter_context(locked(out))
        parts = Parts(out, fingerprint, overwrite=overwrite)
        count = _label_strips(segmenter, job, vocabulary, parts, aoi, on_progress)
        files = write_map(out, job, parts, vocabulary, settings)
        files.append(write_areas(out, job, parts, vocabulary))
        if vector is not None:
            from lhtclip.maps.vectors import write_regions

            files.append(write_regions(Path(vector), job, parts, vocabulary, settings))
        parts.remove()
        stretch = source.low, source.high
    return Summary(out, tuple(files), count, job.height, job.width, stretch)


def _check_settings(segmenter: Segmenter) -> None:
    """Refuse settings that need the whole image at once."""
    decoding = segmenter.decoding
    used = {
        "PAMR": decoding.pamr is not None,
        "TLP": decoding.tlp is not None,
        "Aliases that count together": decoding.aliases is not None,
        "The class prior": decoding.prior != 0,
        "Text calibration": decoding.ptc is not None,
        "shifts": segmenter.windows.shifts > 1,
        "Joint windows": segmenter.windows.joint,
        "Several short sides": len(segmenter.windows.short_sides) > 1,
    }
    for name, on in used.items():
        if on:
            raise InputError(f"{name} cannot be used on a raster, which is labelled in strips.")


def _label_strips(
    segmenter: Segmenter,
    job: Job,
    vocabulary: Vocabulary,
    parts: Parts,
    aoi: str | Path | None,
    on_progress: Callable[[int, int], None],
) -> int:
    done = parts.done()
    waiting = [bounds for bounds in job.strips() if bounds[0] - job.top not in done]
    texts = segmenter.texts.encode(vocabulary.queries)
    ready = job.windows if not waiting else _windows_before(job, waiting[0][0])
    count = 0

    def counted(windows: int) -> None:
        nonlocal count
        count += windows
        on_progress(min(ready + count, job.windows), job.windows)

    rows = WindowRows(segmenter, job, texts, on_windows=counted)
    inside = _area_of_interest(aoi, job)

    def finish(logits: Tensor, top: int, bottom: int) -> None:
        hidden = ~_visible(job, top, bottom)
        if inside is not None:
            hidden |= ~inside(top, bottom)
        parts.write(decode_rows(logits, job, (top, bottom), vocabulary, segmenter, hidden))

    with closing(rows), _Thread() as finisher:
        finished = (
            finisher.submit(finish, rows.get(*job.down.needed(*bounds)), *bounds)
            for bounds in waiting
        )
        for _ in in_order(finished, most=_IN_FLIGHT):
            pass
    on_progress(job.windows, job.windows)
    return count


class _Thread(ThreadPoolExecutor):
    """A thread that decodes and writes strips one after the other while the encoder runs."""

    def __init__(self) -> None:
        super().__init__(1, thread_name_prefix="lhtclip-strips")

    def __exit__(self, *_: object) -> None:
        """Finish the strip in work and forget those that wait."""
        self.shutdown(cancel_futures=True)


def _windows_before(job: Job, row: int) -> int:
    first = job.down.needed(job.top, job.top + 1)[0]
    return (job.down.needed(row, row + 1)[0] - first) * len(job.columns)


def _visible(job: Job, top: int, bottom: int) -> NDArray[np.bool_]:
    """Return which pixels of the map's rows contain valid pixels of the raster."""
    left, right = job.left, job.left + job.width
    data = job.source.dataset
    rows = _nearest(range(top, bottom), job.down.final, data.height)
    columns = _nearest(range(left, right), job.across.final, data.width)
    seen = job.source.visible(rows[0], rows[-1] + 1, columns[0], columns[-1] + 1)
    return seen[np.ix_(rows - rows[0], columns - columns[0])]


def _nearest(pixels: range, final: int, source: int) -> NDArray[np.intp]:
    centres = (np.arange(pixels.start, pixels.stop) + 0.5) * (source / final)
    return np.minimum(centres.astype(np.intp), source - 1)


def _area_of_interest(
    aoi: str | Path | None, job: Job
) -> Callable[[int, int], NDArray[np.bool_]] | None:
    if aoi is None:
        return None
    from lhtclip.maps.vectors import read_polygons

    polygons = read_polygons(Path(aoi), job.source.dataset.crs)

    def inside(top: int, bottom: int) -> NDArray[np.bool_]:
        features = import_extra("rasterio.features", purpose="Maps")

        transform = job.transform @ translation(0, top - job.top)
        return features.geometry_mask(
            polygons, (bottom - top, job.width), transform, invert=True, all_touched=False
        )

    return inside


def _check_outputs(
    raster: str | Path, out: Path, vector: str | Path | None, overwrite: bool
) -> None:
    if out.suffix.lower() not in (".tif", ".tiff"):
        raise InputError(f"The map is a GeoTIFF: --out must end with .tif, got {str(out)!r}.")
    if vector is not None and Path(vector).suffix.lower() not in VECTOR_DRIVERS:
        raise InputError(f"Vector files end with {', '.join(VECTOR_DRIVERS)}; got {str(vector)!r}.")
    for path in (out, *([Path(vector)] if vector else [])):
        if path.exists() and Path(raster).exists() and path.samefile(raster):
            raise InputError(f"The map would replace the raster {raster}. Choose another --out.")
        if path.exists() and not overwrite and not was_interrupted(out):
            raise InputError(f"{path} exists already. Choose another --out, or pass --overwrite.")


def _fingerprint(
    segmenter: Segmenter,
    vocabulary: Vocabulary,
    source: Source,
    settings: MapSettings,
    aoi: str | Path | None,
) -> dict[str, Any]:
    decisive = asdict(settings)
    for name in ("min_area", "simplify", "cache_mb"):
        del decisive[name]
    return {
        "encoder": segmenter.encoder.settings(),
        "windows": [segmenter.windows.window, segmenter.windows.stride, segmenter.windows.flip],
        "decoding": asdict(segmenter.decoding),
        "classes": [vocabulary.names, vocabulary.queries, vocabulary.class_of_query],
        "source": source.fingerprint(),
        "settings": decisive,
        "aoi": str(aoi) if aoi else None,
    }
