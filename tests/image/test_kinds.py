"""Files that are no image that can be read say what they are, and what helps."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from lhtclip.errors import InputError
from lhtclip.image.pixels import read_image


@pytest.mark.parametrize(
    ("start", "kind", "remedy"),
    [
        (b"\xff\x0a" + bytes(9), "JPEG XL", "save it as PNG"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL", "save it as PNG"),
        (b"\0\0\0\x20ftypisom", "video", "ffmpeg"),
        (b"\n <!DOCTYPE HTML><title>404</title>", "web page", "download the image again"),
        (b"\xef\xbb\xbf<svg>", "SVG", "save it as PNG"),
        (b"PK\3\4", "ZIP archive", "unpack"),
        (bytes(128) + b"DICM", "DICOM", "save it as PNG"),
        (b"II*\0\x08\0\0\0", "damaged TIFF", "save it as PNG"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS", "git lfs pull"),
        (bytes(200), "not an image that can be read", "readable: .*JPEG"),
    ],
)
def test_what_is_no_image_is_named(start: bytes, kind: str, remedy: str) -> None:
    with pytest.raises(InputError, match=f"{kind}.*{remedy}"):
        read_image(start)


def test_a_damaged_heic_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lhtclip.image.opening.has_heif", lambda: True)
    pytest.importorskip("pillow_heif")
    with pytest.raises(InputError, match="damaged or unusual HEIC image: save it as JPEG"):
        read_image(b"\0\0\0\x18ftypheic" + bytes(40))


def test_an_advice_that_would_not_work_is_not_given() -> None:
    with pytest.raises(InputError, match=r"not \(3, 90, 80\); image\.transpose"):
        read_image(np.zeros((3, 90, 80), np.uint8))
    with pytest.raises(InputError, match=r"not \(4, 90, 2\)\.$"):
        read_image(np.zeros((4, 90, 2), np.uint8))


def test_avif_without_its_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    Image.init()
    monkeypatch.delitem(Image.OPEN, "AVIF", raising=False)
    with pytest.raises(InputError, match=r"AVIF.*pip install -U pillow"):
        read_image(b"\0\0\0\x1cftypavif" + bytes(20))
