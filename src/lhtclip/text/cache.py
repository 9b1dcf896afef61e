"""Text embeddings on disk: one small file per prompt, keyed by everything its values depend on.

A broken file counts as missing, and a folder that cannot be written to as no cache, so the cache
can only save time.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lhtclip.errors import InputError
from lhtclip.files import write_atomically
from lhtclip.files.cache import cache_folder
from lhtclip.files.paths import as_path
from lhtclip.files.regular_files import read_regular

FORMAT_VERSION = 3  # raise it if the same key would mean different numbers
_NORM_TOLERANCE = 1e-3
_DIGEST_BYTES = 32  # of a SHA-256, at the end of each file
_MOST_BYTES = 1 << 20  # of an embedding

_log = logging.getLogger("lhtclip")


class TextCache:
    """Unit-norm float32 embeddings of prompts for one checkpoint, template set and dtype."""

    def __init__(
        self,
        root: Path | None = None,
        *,
        fingerprint: str,
        templates: Sequence[str],
        dtype: torch.dtype,
        width: int,
    ) -> None:
        """Choose the folder; reads and creates nothing yet.

        Args:
            root: The cache folder; None means `cache_folder()`.
            fingerprint: Identifies the text encoder's weights.
            templates: The sentences that every prompt is put into, in order.
            dtype: The text encoder's precision.
            width: Length of an embedding; files of other lengths are not used.

        Raises:
            RuntimeError: No root was given and the user has no home folder.
        """
        root = cache_folder() if root is None else root
        key = json.dumps([FORMAT_VERSION, fingerprint, str(dtype), list(templates)])
        self.folder = root / "text" / hashlib.sha256(key.encode()).hexdigest()
        self._width = width
        self._writable = True
        self._told = False

    def get(self, query: str) -> NDArray[np.float32] | None:
        """Return the embedding (width,), or None if there is no sound one.

        A file that is broken, or of another prompt, is said once; what it was for is made again.
        """
        try:
            data = read_regular(self._path(query), most=_MOST_BYTES)
        except OSError:
            return None
        content, digest = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
        try:
            embedding: NDArray[np.float32] = np.load(io.BytesIO(content), allow_pickle=False)
        except Exception:  # a file can be broken in many ways, with no common error
            embedding = np.empty(0, np.float32)
        sound = embedding.dtype == np.float32 and embedding.shape == (self._width,)
        # `<=` is False for NaN and infinity too
        sound = sound and abs(float(np.dot(embedding, embedding)) - 1) <= _NORM_TOLERANCE
        if sound and digest == self._digest(query, content):
            return embedding
        if not self._told:
            self._told = True
            _log.warning("Broken text embeddings in %s are made again.", self.folder)
        return None

    def put(self, query: str, embedding: NDArray[np.float32]) -> None:
        """Store an embedding (width,), whole or not at all; logs the first failure."""
        if not self._writable:
            return
        buffer = io.BytesIO()
        np.save(buffer, np.ascontiguousarray(embedding, dtype=np.float32), allow_pickle=False)
        content = buffer.getvalue()
        try:
            write_atomically(self._path(query), content + self._digest(query, content))
        except InputError as error:
            self._writable = False
            _log.warning(
                "Text embeddings are not kept on disk. %s LHTCLIP_CACHE names another.", error
            )

    def _digest(self, query: str, content: bytes) -> bytes:
        """Tie the content to its prompt and to all that the folder stands for."""
        about = json.dumps([self.folder.name, query]).encode()
        return hashlib.sha256(about + content).digest()

    def _path(self, query: str) -> Path:
        return self.folder / f"{hashlib.sha256(query.encode()).hexdigest()}.npy"


def open_text_cache(
    cache: Path | str | bool | None,
    *,
    fingerprint: str,
    templates: Sequence[str],
    dtype: torch.dtype,
    width: int,
) -> TextCache | None:
    """Return the requested cache: True for the default folder, a path for that one, else none."""
    if cache is None or cache is False:
        return None
    root = None if cache is True else as_path("The cache of texts", cache)
    try:
        return TextCache(
            root, fingerprint=fingerprint, templates=templates, dtype=dtype, width=width
        )
    except RuntimeError as error:
        _log.warning("Text embeddings are not kept on disk: %s Set LHTCLIP_CACHE.", error)
        return None
