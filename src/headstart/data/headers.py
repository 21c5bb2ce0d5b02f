"""Headers of image files: whether an image is deeper than 8 bits, or has transparent parts, without decoding it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from headstart.data.formats import PREFIX, read_head
from headstart.data.open_image import header_of
from headstart.data.other_formats import NPY, is_dicom

JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
BITS_AT, COLOR_AT = 24, 25
"""Where a PNG says its bits per sample, and whether it has colors and transparency."""
ALPHA = (b"\4", b"\6")
PART = 64
"""Files per task of a thread: handing over a task takes longer than reading a header."""


@dataclass(frozen=True)
class Header:
    """What a file's header says of its pixels."""

    deep: bool = False
    """Whether they may have more than 8 bits."""
    transparent: bool = False


def read_headers(files: Sequence[Path]) -> list[Header]:
    """The header of each file; that of a plain image for a file that cannot be read."""
    parts = [files[start : start + PART] for start in range(0, len(files), PART)]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return [header for part in threads.map(lambda part: [*map(read_header, part)], parts) for header in part]


def read_header(file: Path) -> Header:
    """The header of one file. Most files are JPEG or PNG, and recognized without Pillow, which is slower."""
    head = read_head(file, PREFIX)
    if not head or head.startswith(JPEG):
        return Header()
    if head.startswith(PNG):
        with file.open("rb") as source:
            return Header(
                head[BITS_AT : BITS_AT + 1] > b"\x08",
                head[COLOR_AT : COLOR_AT + 1] in ALPHA or _has_transparency(source),
            )
    if head.startswith(NPY) or is_dicom(head):
        return Header(deep=True, transparent=head.startswith(NPY))
    return Header(*header_of(file))


def _has_transparency(png: IO[bytes]) -> bool:
    """Whether a PNG has a chunk tRNS, which stands before its pixels."""
    png.seek(len(PNG))
    while len(chunk := png.read(8)) == 8 and chunk[4:] != b"IDAT":
        if chunk[4:] == b"tRNS":
            return True
        png.seek(int.from_bytes(chunk[:4], "big") + 4, os.SEEK_CUR)
    return False
