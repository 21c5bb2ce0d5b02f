"""Image files are recognized by their content: what the installed readers open, whatever the suffix.

Vector formats are left out: Pillow hands PostScript to Ghostscript, a program that runs what the file says.
"""

from __future__ import annotations

import os
import stat
from functools import lru_cache
from pathlib import Path

from PIL import Image

from headstart.data.other_formats import (
    DICOM,
    DICOM_AT,
    NPY,
    has_dicom_reader,
    is_dicom,
    is_heif,
    is_image_shaped,
    npy_header,
    register_heif,
)

RASTER_FORMATS = (
    "JPEG", "PNG", "TIFF", "WEBP", "BMP", "DIB", "GIF", "MPO", "JPEG2000", "PPM", "PCX", "SGI", "TGA"
)  # fmt: skip
"""Formats that Pillow may open, those without magic bytes last: photographs, scans and masks come in these.

None that starts another program, unfolds data without a limit, or holds an image of another size than it says.
"""
PREFIX = DICOM_AT + len(DICOM)
"""Bytes that a format is recognized by."""
COMMON_SUFFIXES = frozenset(
    [".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm", ".jp2"]
)
"""Taken for images without a look inside: their content is checked when they are decoded."""
OTHER_SUFFIXES = frozenset(
    [
        ".csv", ".tsv", ".txt", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".toml", ".md", ".rst", ".html", ".htm",
        ".py", ".ipynb", ".log", ".ini", ".cfg", ".zip", ".gz", ".tar", ".pt", ".pth", ".safetensors", ".mat",
        ".parquet",
    ]
)  # fmt: skip
"""Taken for other files without a look inside."""
NEEDS = {".heic": "heif", ".heif": "heif", ".avif": "heif", ".dcm": "medical", ".dicom": "medical"}
"""Suffix -> extra of headstart that reads such files."""
UNREAD_IMAGES = {
    ".svg", ".eps", ".ai", ".cr2", ".cr3", ".nef", ".arw", ".dng", ".raf", ".orf", ".rw2", ".raw", ".pef", ".srw",
    ".xcf", ".jxl", ".exr", ".hdr", ".nii", ".mhd", ".nrrd", ".czi", ".lif", ".svs", ".ndpi",
}  # fmt: skip
"""Drawings, raw photographs and volumes: pictures that headstart does not read. Films are no pictures."""
HEIF_FORMATS = ("AVIF", "HEIF")
NOT_IMAGES = (
    (b"version https://git-lfs", "a Git LFS pointer: git lfs pull"),
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML file"),
    (b"%!ps", "a PostScript file"),
    (b"8bps", "a Photoshop file: save it as PNG or TIFF"),
    (b"%pdf", "a PDF document"),
    (b"pk\3\4", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"{", "JSON text"),
)
"""Beginning of a file, in lower case -> what it is instead of an image."""


@lru_cache
def raster_formats() -> tuple[str, ...]:
    """Names of the raster formats that the installed Pillow reads, those without magic bytes last."""
    Image.init()
    return tuple(name for name in RASTER_FORMATS if name in Image.OPEN)


def formats_for(head: bytes) -> tuple[str, ...]:
    """Names of the formats that Pillow may open a file as that begins with ``head``."""
    if not is_heif(head):
        return raster_formats()
    Image.init()
    if b"avi" not in head[8:12] or "AVIF" not in Image.OPEN:
        register_heif()
    return tuple(name for name in HEIF_FORMATS if name in Image.OPEN)


def is_image_file(file: str | os.PathLike[str]) -> bool:
    """Whether a file is taken for an image: by a common suffix, else by the first bytes of its content."""
    suffix = os.path.splitext(file)[1].lower()  # noqa: PTH122 - faster, and called for every file
    if suffix in COMMON_SUFFIXES:
        return True
    return suffix not in OTHER_SUFFIXES and recognized_format(file) is not None


def recognized_format(file: str | os.PathLike[str]) -> str | None:
    """Name of the format (Pillow's, ``DICOM`` or ``NumPy``) that a regular file's content announces, or None.

    Reads its header, no pixels. None too for a format whose reader is not installed (`extra_for` names it).
    """
    head = read_head(file)
    if not head:
        return None
    if head.startswith(NPY):
        with Path(file).open("rb") as source:
            header = npy_header(source)
        return "NumPy" if header is not None and is_image_shaped(*header) else None
    if is_dicom(head):
        named = os.path.basename(file) == "DICOMDIR"  # noqa: PTH119 - the list of the files beside it
        return "DICOM" if has_dicom_reader() and not named else None
    return _pillow_format(file, head)


def read_head(file: str | os.PathLike[str], size: int = PREFIX) -> bytes:
    """The first bytes of a regular file; none if it cannot be read, or if reading might wait (a pipe, a device)."""
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):  # noqa: PTH116
            return b""
        content = os.open(file, os.O_RDONLY | getattr(os, "O_BINARY", 0))  # faster than a file object
        try:
            return os.read(content, size)
        finally:
            os.close(content)
    except OSError:
        return b""


def _pillow_format(file: str | os.PathLike[str], head: bytes) -> str | None:
    suffix = os.path.splitext(file)[1].lower()  # noqa: PTH122
    by_suffix = Image.registered_extensions().get(suffix)  # a format without a magic number (TGA) is told by its suffix
    candidates = [name for name in formats_for(head) if accepts(name, head) or name == by_suffix]
    try:
        with Image.open(file, formats=candidates) as image:
            return image.format
    except Image.DecompressionBombError:  # an image, whose size decoding will refuse
        return candidates[0]
    except Exception:  # no image after all
        return None


def accepts(name: str, head: bytes) -> bool:
    """Whether a file that begins with ``head`` has the magic bytes of one of Pillow's formats."""
    accept = Image.OPEN[name][1]
    try:
        return bool(head) and accept is not None and accept(head[:16]) is True
    except Exception:  # a file shorter than what the format looks at: struct.error, IndexError
        return False


def extra_for(file: str | os.PathLike[str]) -> str | None:
    """The extra of headstart that reads such a file (``heif``, ``medical``), by its suffix or content, or None."""
    extra = NEEDS.get(os.path.splitext(file)[1].lower())  # noqa: PTH122
    if extra is None and not os.path.splitext(file)[1]:  # noqa: PTH122 - DICOM files often have no suffix
        head = read_head(file)
        extra = "medical" if is_dicom(head) else "heif" if is_heif(head) else None
    return extra


def describe(content: bytes) -> str:
    """What a file is that is not an image, in a few words."""
    start = content[:PREFIX].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    known = next((what for magic, what in NOT_IMAGES if start.startswith(magic)), None)
    if is_heif(content):
        return "a HEIC image; to read it: pip install 'headstart[heif]'"
    return known or f"{len(content)} bytes"
