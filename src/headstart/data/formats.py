"""Image files are recognized by their content: what the installed Pillow opens, whatever the suffix.

Vector formats are left out: Pillow hands PostScript to Ghostscript, a program that runs what the file says.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from PIL import Image

NOT_READ = frozenset(["EPS", "WMF", "PDF", "PALM", "MPEG", "FPX", "MIC", "BUFR", "GRIB", "HDF5"])
"""Formats of Pillow that are no raster images, need another program, or can only be written."""
PREFIX = 16
"""Bytes that Pillow recognizes a format by."""
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
NEEDS = {".heic": "heif", ".heif": "heif", ".avif": "heif", ".dcm": "medical", ".dicom": "medical", ".npy": "medical"}
"""Suffix -> extra of headstart that reads such files."""


@lru_cache
def raster_formats() -> tuple[str, ...]:
    """Names of the raster formats that the installed Pillow reads."""
    Image.init()
    return tuple(name for name in Image.ID if name not in NOT_READ)


def is_image_file(file: str | os.PathLike[str]) -> bool:
    """Whether a regular file is taken for an image: by a common suffix, else by the first bytes of its content."""
    suffix = os.path.splitext(file)[1].lower()  # noqa: PTH122 - faster, and called for every file
    if suffix in COMMON_SUFFIXES:
        return True
    return suffix not in OTHER_SUFFIXES and recognized_format(file) is not None


def recognized_format(file: str | os.PathLike[str]) -> str | None:
    """Pillow's name of the format that a file's content announces, or None. Reads its header, no pixels."""
    try:
        with Path(file).open("rb") as content:
            prefix = content.read(PREFIX)
    except OSError:
        return None
    suffix = os.path.splitext(file)[1].lower()  # noqa: PTH122
    by_suffix = Image.registered_extensions().get(suffix)  # a format without a magic number (TGA) is told by its suffix
    candidates = [name for name in raster_formats() if _accepts(name, prefix) or name == by_suffix]
    try:
        with Image.open(file, formats=candidates) as image:
            return image.format
    except Exception:  # no image after all
        return None


def _accepts(name: str, prefix: bytes) -> bool:
    accept = Image.OPEN[name][1]
    return bool(prefix) and accept is not None and accept(prefix) is True


def extra_for(file: str | os.PathLike[str]) -> str | None:
    """The extra of headstart that reads such a file (``heif``, ``medical``), or None."""
    return NEEDS.get(os.path.splitext(file)[1].lower())  # noqa: PTH122
