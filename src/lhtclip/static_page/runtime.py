"""ONNX Runtime Web: the files that the browser needs, from a folder or, once, from npm."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import urllib.request
from pathlib import Path

from lhtclip.errors import InputError
from lhtclip.files import write_atomically
from lhtclip.files.cache import cache_folder
from lhtclip.files.regular_files import read_regular

VERSION = "1.30.0"
FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
_URL = f"https://registry.npmjs.org/onnxruntime-web/-/onnxruntime-web-{VERSION}.tgz"
_SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
_MOST_BYTES = 256 << 20
_SECONDS = 60


def runtime_files(folder: Path | None = None) -> dict[str, bytes]:
    """Return the content of `FILES`.

    Args:
        folder: An unpacked npm package onnxruntime-web, or its folder `dist`; None takes the
            package of `VERSION` from the cache, and downloads it first where it is not there.

    Raises:
        InputError: The folder does not have them, or they cannot be downloaded.
    """
    if folder is not None:
        for place in (folder / "dist", folder):
            if all((place / name).is_file() for name in FILES):
                return {name: read_regular(place / name, most=_MOST_BYTES) for name in FILES}
        raise InputError(
            f"{folder} is not the npm package onnxruntime-web: it has no dist/{FILES[-1]}. Unpack "
            f"it with `npm pack onnxruntime-web@{VERSION}` and `tar xf`, and name the folder "
            "`package`."
        )
    try:
        kept = cache_folder() / "onnxruntime-web" / f"{VERSION}.tgz"
    except RuntimeError as error:  # no home folder
        raise InputError("There is no cache folder: set LHTCLIP_CACHE.") from error
    if kept.is_file() and _is_right(content := kept.read_bytes()):
        return _unpacked(content)
    content = _download()
    write_atomically(kept, content)
    return _unpacked(content)


def _download() -> bytes:
    try:
        with urllib.request.urlopen(_URL, timeout=_SECONDS) as answer:
            content: bytes = answer.read(_MOST_BYTES)
    except OSError as error:
        raise InputError(
            f"The page needs onnxruntime-web {VERSION}, which cannot be downloaded from {_URL}: "
            f"{error}. Fetch it where there is a network (`npm pack onnxruntime-web@{VERSION}`), "
            "unpack it, and pass --runtime DIR."
        ) from error
    if not _is_right(content):
        raise InputError(
            f"What {_URL} sent is not onnxruntime-web {VERSION}: its SHA-512 differs. Nothing "
            "was kept. Pass --runtime DIR with a package that you trust."
        )
    return content


def _is_right(content: bytes) -> bool:
    return base64.b64encode(hashlib.sha512(content).digest()).decode() == _SHA512


def _unpacked(content: bytes) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        for name in FILES:
            member = archive.extractfile(f"package/dist/{name}")
            if member is None:
                raise InputError(f"onnxruntime-web {VERSION} has no dist/{name}.")
            files[name] = member.read()
    return files
