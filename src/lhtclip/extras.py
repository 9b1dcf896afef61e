"""Optional packages: imported when they are needed, explained when they are missing."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from lhtclip.errors import MissingDependencyError

_EXTRA_OF = {  # what to install, by package
    "affine": "maps",
    "cvat_sdk": "cvat",
    "fastapi": "serve",
    "fiftyone": "fiftyone",
    "fsspec": "ray",
    "geopandas": "maps",
    "matplotlib": "analysis",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "onnxscript": "onnx",
    "pandas": "tables",
    "prometheus_client": "serve",
    "pyarrow": "tables",
    "pycocotools": "datasets",
    "pyproj": "maps",
    "pystac": "stac",
    "python_multipart": "serve",
    "rasterio": "maps",
    "rioxarray": "xarray",
    "ray": "ray",
    "scipy": "datasets",
    "shapely": "maps",
    "supervision": "supervision",
    "uvicorn": "serve",
}


def import_extra(module: str, *, purpose: str) -> Any:
    """Import a module of an optional package.

    Args:
        module: A module such as "scipy.io".
        purpose: What needs it, in the plural, as the start of a sentence.

    Raises:
        MissingDependencyError: It is not installed; the message says how to install it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingDependencyError(
            f"{purpose} need {package}: pip install 'lhtclip[{_EXTRA_OF[package]}]'."
        ) from error
