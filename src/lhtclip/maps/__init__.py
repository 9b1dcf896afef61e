"""Maps: label rasters of any size in strips and keep their coordinates.

`label_raster` is the entry point, `label_array` the one for xarray. The package needs the extra
`lhtclip[maps]` (rasterio and others); it calls the library, and nothing in the library imports it.
"""

from __future__ import annotations

from lhtclip.maps.arrays import label_array
from lhtclip.maps.label import Summary, label_raster
from lhtclip.maps.settings import MapSettings

__all__ = ["MapSettings", "Summary", "label_array", "label_raster"]
