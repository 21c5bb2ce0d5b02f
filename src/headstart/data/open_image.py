"""Open image files: regular files only, by what they hold. Whatever is wrong with one becomes `Unreadable`."""

from __future__ import annotations

import io
import logging
import math
import re
import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import IO, TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from headstart.data.conversion import Conversion
from headstart.data.deep import is_deep
from headstart.data.formats import PREFIX, accepts, describe, formats_for, read_head
from headstart.data.memory import decoding, reserve
from headstart.data.other_formats import array_size, read_array
from headstart.data.tiff import TiffTags, load_tags, read_tags
from headstart.data.unreadable import WITHHELD, Unreadable
from headstart.value_range import Values

T = TypeVar("T")
LARGE_FILE = 1 << 25
"""Bytes from which on a file is read and decoded while no other thread decodes."""
MAX_WEBP = 1 << 26
"""Pixels of a WebP file from which on it is not opened."""
IN_MEMORY = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2, "I;16N": 2}
"""Bytes per pixel in memory of Pillow's modes; 4 of the others."""
RGB = 4
INSIDE = {"WEBP": 12, "AVIF": 6, "HEIF": 4, "JPEG2000": 16}
"""Bytes per pixel that a decoder takes beside the image, as measured with Pillow 13 (12 for WebP: an animation's)."""
START_OF_SCAN, MAX_SCANS = b"\xff\xda", 100
"""In a JPEG, and how often it may stand there; encoders write about ten scans."""
EXIF_ORIENTATION = 0x0112
TURNS: dict[int, Callable[[Values], Values]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}
"""EXIF orientation -> what makes an array upright."""
PILLOW_FILTER = ("ignore", None, Warning, re.compile(r"(PIL|pydicom)\."), 0)
"""Silences Pillow's warnings of broken metadata and of more than 89 million pixels: such files are read (from twice as
many pixels on, refused). A permanent filter is thread-safe; `warnings.catch_warnings` is not."""
for library in ("PIL", "pydicom"):  # they write of damaged files to the terminal, which `Unreadable` names
    logging.getLogger(library).addHandler(logging.NullHandler())


def with_image(file: Path, use: Callable[[Image.Image, bytes], T], per_pixel: int) -> T:
    """Open an image file and return ``use(image, content)``. Raises Unreadable, and nothing else.

    ``per_pixel``: bytes that ``use`` takes per pixel, beside those of decoding.
    """
    with decoding():
        content = read_content(file)
        with explained(content), open_image(content) as image:
            limit = Conversion()
            limit.require_pixels(*image.size)
            taken = (decoded_bytes(image, content, read_tags(content)) + per_pixel) * image.width * image.height
            reserve(taken + len(content), limit.max_bytes)
            return use(image, content)


def read_content(file: Path, max_bytes: int = Conversion().max_bytes) -> bytes:
    """The bytes of a regular file, within a scope `decoding`.

    Raises Unreadable for a missing or empty one, for pipes and devices, and for one of more than ``max_bytes``.
    """
    _silence_pillow()
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable("not a regular file", "a folder" if file.is_dir() else "a pipe or a device")
        if status.st_size > max_bytes:  # looked at before: a sparse file takes no room on the disk
            raise Unreadable(
                "too large", f"a file of {status.st_size / 1e9:.1f} GB, more than {max_bytes / 1e9:.2f} GB"
            )
        if status.st_size > LARGE_FILE:
            reserve(max_bytes, max_bytes)
        with file.open("rb") as source:
            content = source.read(status.st_size)  # no more than that, if it grows in the meantime
    except OSError as error:
        gone = isinstance(error, FileNotFoundError)
        raise Unreadable("missing" if gone else WITHHELD, error.strerror or str(error)) from None
    if not content:
        raise Unreadable("empty", "0 bytes")
    return content


@contextmanager
def explained(content: bytes) -> Iterator[None]:
    """Turn whatever a decoder raises into Unreadable."""
    try:
        yield
    except Unreadable:
        raise
    except UnidentifiedImageError:
        raise Unreadable("not an image", describe(content)) from None
    except Image.DecompressionBombError as error:
        raise Unreadable("too large", str(error).partition(", could be")[0]) from None
    except Exception as error:  # Pillow's decoders raise whatever the damage leads them to: struct.error, KeyError, ...
        raise Unreadable("truncated", str(error).partition("\n")[0]) from None


def open_image(content: bytes) -> Image.Image:
    """Open an image in memory, of any size, and decode nothing yet: the caller compares the size with its limit.

    Raises what Pillow raises.
    """
    _silence_pillow()
    array = read_array(content)
    if array is not None:
        return Image.fromarray(array[0])
    return _open(io.BytesIO(content), content[:PREFIX])


def _open(source: IO[bytes], head: bytes) -> Image.Image:
    formats = formats_for(head)
    if (pixels := math.prod(webp_size(head))) > MAX_WEBP:  # whose decoder takes the memory as it opens the file
        raise Unreadable("too large", f"WebP of {pixels:,} pixels, more than {MAX_WEBP:,}")
    try:
        return Image.open(source, formats=formats)
    except Image.DecompressionBombError:  # raised for the size alone: the plugin opens it all the same
        source.seek(0)
        opened: Image.Image = Image.OPEN[next(name for name in formats if accepts(name, head))][0](source, "")
        return opened


def decoded_bytes(image: Image.Image, content: bytes, tags: TiffTags | None) -> int:
    """Bytes per pixel that it takes to decode an open image, and to make it RGB of 8 bits, at the worst moment."""
    own = IN_MEMORY.get(image.mode, 4)
    inside = INSIDE.get(image.format or "", 0)
    if "progressive" in image.info:
        inside = 8  # the coefficients of all components, and what they become
    if tags is not None:  # one strip may be the whole image
        inside = (tags.bands * tags.bits + 7) // 8
    if is_deep(image, content, tags):
        values = own if image.mode[0] in "IF" else 6
        second = 0 if image.mode[0] in "IF" else own
        scaled = 2 if values < 6 else 3
        return max(own + inside, own + second + values, values + scaled + RGB)
    copied = 0 if image.mode == "RGB" and not image.has_transparency_data else RGB
    turned = own if orientation_in_header(image) != 1 else 0
    return own + max(inside, copied + turned)


def progressive_bytes(image: Image.Image, content: bytes) -> int:
    """Bytes of all coefficients of a progressive JPEG, in memory even where it is decoded at a fraction of its size.

    0 for any other image. Raises Unreadable for one of more scans than any encoder writes: each may take a pass over
    the whole image, at some bytes in the file. Call it before ``image.draft``.
    """
    if "progressive" not in image.info:
        return 0
    scans = content.count(START_OF_SCAN)
    if scans > MAX_SCANS:
        raise Unreadable("too large", f"a progressive JPEG of {scans:,} scans, more than {MAX_SCANS}")
    sampling = [(across, down) for _, across, down, _ in getattr(image, "layer", ())] or [(1, 1)] * 4
    most = max(across for across, _ in sampling) * max(down for _, down in sampling)
    coefficients: int = image.width * image.height * sum(across * down for across, down in sampling) // most
    return 2 * coefficients


def webp_size(head: bytes) -> tuple[int, int]:
    """Width and height of a WebP file by its first 30 bytes; (0, 0) for any other."""
    if head[:4] != b"RIFF" or head[8:12] != b"WEBP":
        return 0, 0
    kind, at = head[12:16], {b"VP8X": 24, b"VP8L": 21, b"VP8 ": 26}.get(head[12:16], 0)
    numbers = int.from_bytes(head[at : at + 6], "little")
    if kind == b"VP8X":
        return (numbers & 0xFFFFFF) + 1, (numbers >> 24 & 0xFFFFFF) + 1
    if kind == b"VP8L":
        return (numbers & 0x3FFF) + 1, (numbers >> 14 & 0x3FFF) + 1
    return numbers & 0x3FFF, numbers >> 16 & 0x3FFF


def upright_size(file: Path) -> tuple[int, int]:
    """Height and width of the upright image, from the file's header; (0, 0) for an unreadable file."""
    _silence_pillow()
    head = read_head(file)
    try:
        with file.open("rb") if head else io.BytesIO() as source:
            size = array_size(source, head)
            if size is not None:
                return size
            (width, height), orientation = _size_in_header(source, head)
    except Exception:  # `read` raises what is wrong
        return 0, 0
    return (width, height) if orientation in range(5, 9) else (height, width)


def pixels_in_header(content: bytes) -> int:
    """Width times height of an image in memory, from its header; 0 for one that cannot be read."""
    _silence_pillow()
    head = content[:PREFIX]
    try:
        with io.BytesIO(content) as source:
            return math.prod(array_size(source, head) or _size_in_header(source, head)[0])
    except Exception:  # `read_upload` raises what is wrong
        return 0


def header_of(file: Path) -> tuple[bool, bool]:
    """Whether an image may be deeper than 8 bits, and transparent, from its header; neither for an unreadable file."""
    _silence_pillow()
    try:
        with file.open("rb") as source:
            tags = load_tags(source)
            source.seek(0)
            deep = tags is not None and tags.bits > 8
            try:
                with _open(source, read_head(file)) as image:
                    return deep or image.mode[0] in "IF", image.has_transparency_data
            except UnidentifiedImageError:
                return deep, False
    except Exception:  # `read` raises what is wrong
        return False, False


def _size_in_header(source: IO[bytes], head: bytes) -> tuple[tuple[int, int], int]:
    """Width and height, and EXIF orientation."""
    tags = load_tags(source)
    if tags is not None and all(tags.size):
        return tags.size, tags.orientation
    source.seek(0)
    with _open(source, head) as image:
        return image.size, orientation_in_header(image)


def orientation_in_header(image: Image.Image) -> int:
    """EXIF orientation of an open image, which is not decoded; 1 for a PNG with its EXIF after the pixels."""
    in_header = image.format != "PNG" or "exif" in image.info  # else Pillow decodes a PNG to reach its EXIF
    return int(image.getexif().get(EXIF_ORIENTATION, 1)) if in_header else 1


def digest(content: bytes) -> str:
    """BLAKE2b-128 of a file's bytes, in hexadecimal."""
    return blake2b(content, digest_size=16).hexdigest()


def _silence_pillow() -> None:
    if (
        PILLOW_FILTER not in warnings.filters
    ):  # checked every time: a test runner or the user's program may have reset the filters
        warnings.filterwarnings("ignore", module=r"(PIL|pydicom)\.")
