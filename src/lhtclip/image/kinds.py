"""Name what a file holds that is not an image that can be read, by its first bytes."""

from __future__ import annotations

START = 132  # bytes that tell
_CONVERT = "save it as PNG or JPEG"
_DOWNLOAD = "download the image again"
_UNPACK = "unpack it first"
_FRAMES = "extract frames first, such as with ffmpeg"

# Where the bytes are, the bytes, what they stand for, and what to do.
_KINDS: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"\xff\x0a", "a JPEG XL image", _CONVERT),
    (4, b"JXL \r\n", "a JPEG XL image", _CONVERT),
    (0, b"II\xbc\x01", "a JPEG XR image", _CONVERT),
    (0, b"8BPS", "a Photoshop document", _CONVERT),
    (0, b"gimp xcf", "a GIMP document", _CONVERT),
    (0, b"v/1\x01", "an OpenEXR image", _CONVERT),
    (0, b"#?RADIANCE", "a Radiance HDR image", _CONVERT),
    (0, b"FUJIFILMCCD-RAW", "a camera's raw file", _CONVERT),
    (8, b"CR\x02\0", "a camera's raw file", _CONVERT),
    (4, b"ftypcrx ", "a camera's raw file", _CONVERT),
    (0, b"DDS ", "a DDS texture", _CONVERT),
    (0, b"qoif", "a QOI image", _CONVERT),
    (0, b"P7\n", "a PAM image", _CONVERT),
    (0, b"icns", "an Apple icon", _CONVERT),
    (0, b"\0\0\x01\0", "an icon", _CONVERT),
    (0, b"SIMPLE  =", "a FITS file", _CONVERT),
    (128, b"DICM", "a DICOM file", _CONVERT),
    (0, b"\x93NUMPY", "a NumPy array", "pass the array in Python, or save it as PNG"),
    (0, b"\x89HDF", "an HDF5 file", _CONVERT),
    (0, b"CDF", "a NetCDF file", _CONVERT),
    (0, b"%PDF", "a PDF document", "save its pages as PNG"),
    (0, b"%!PS", "a PostScript drawing", "save it as PNG"),
    (0, b"\xc5\xd0\xd3\xc6", "a PostScript drawing", "save it as PNG"),
    (0, b"<svg", "an SVG drawing", "save it as PNG"),
    (0, b"<!doctype html", "a web page", _DOWNLOAD),
    (0, b"<html", "a web page", _DOWNLOAD),
    (0, b"<?xml", "an XML document, such as an SVG drawing", "save it as PNG"),
    (0, b"{", "a JSON document", _DOWNLOAD),
    (0, b"version https://git-lfs", "a pointer of Git LFS", "run 'git lfs pull'"),
    (0, b"PK\x03\x04", "a ZIP archive", _UNPACK),
    (0, b"\x1f\x8b", "a gzip archive", _UNPACK),
    (0, b"7z\xbc\xaf", "a 7z archive", _UNPACK),
    (0, b"Rar!", "a RAR archive", _UNPACK),
    (0, b"II*\0", "a damaged TIFF file or a camera's raw file", _CONVERT),
    (0, b"MM\0*", "a damaged TIFF file or a camera's raw file", _CONVERT),
    (4, b"ftyp", "a video", _FRAMES),
    (0, b"\x1aE\xdf\xa3", "a video", _FRAMES),
    (8, b"AVI ", "a video", _FRAMES),
)


def named_kind(start: bytes) -> tuple[str, str] | None:
    """Name the kind of file that starts with some bytes, and say what to do with it.

    Args:
        start: The first `START` bytes.

    Returns:
        The kind with its article, and a remedy as a command; None if it is not known.
    """
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()  # of a page, which may begin with space
    for place, magic, kind, remedy in _KINDS:
        if start[place:].startswith(magic) or (magic.startswith(b"<") and text.startswith(magic)):
            return kind, remedy
    return None
