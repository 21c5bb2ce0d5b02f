"""One file -> one RGB picture, or the reason why not. The only place that opens images."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import ImageFileDirectory_v2

T = TypeVar("T")
Resize = Literal["squash", "crop", "pad", "keep"]
EXIF_ORIENTATION = 0x0112
BITS, BANDS = 0x0102, 0x0115
"""TIFF's tags BitsPerSample and SamplesPerPixel."""
TIFF, PNG = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), b"\x89PNG"
"""What such files begin with."""
QUIET = ("ignore", None, Warning, re.compile(r"PIL\."), 0)
"""Pillow warns of broken metadata and of more than 89 million pixels; both are read here, and more than twice as many
are refused. A filter that stays is safe with threads, which `warnings.catch_warnings` is not."""


class Unreadable(Exception):  # noqa: N818 - it reads as what it says
    """A file that gives no picture. ``kind`` is one of: missing, empty, not an image, truncated, too large."""

    def __init__(self, kind: str, detail: str = "") -> None:
        self.kind, self.detail = kind, detail
        super().__init__(f"{kind} ({detail})" if detail else kind)


@dataclass(frozen=True)
class Picture:
    """A decoded file and what it was before."""

    rgb: Image.Image
    """Upright, mode RGB."""
    content: str
    """BLAKE2b-128 of the file's bytes, in hexadecimal."""
    format: str
    """As Pillow names it: JPEG, PNG, ..."""
    mode: str
    """Pillow's mode in the file: L, RGB, RGBA, P, CMYK, I;16, ..."""
    size: tuple[int, int]
    """Width and height in the file, before rotation."""
    rotated: bool
    """Whether EXIF asked for a rotation or a mirroring."""
    unsupported: str = ""
    """What the file holds beyond three bands of eight bits: ``4 bands of 16 bits``."""


def read(file: Path, enough_for: int | None = None) -> Picture:
    """Read and decode one image file.

    With ``enough_for`` (a side in pixels) a JPEG at least four times as large is decoded at a half, a
    quarter or an eighth, still at least twice that side: much faster, and the resizing that follows
    hides the difference. Raises Unreadable, and nothing else.
    """

    def picture(image: Image.Image, content: bytes) -> Picture:
        mode, size, kind = image.mode, image.size, image.format or "?"
        if enough_for is not None and kind in ("JPEG", "MPO") and mode != "CMYK":
            image.draft(None, (2 * enough_for, 2 * enough_for))
        turn = image.getexif().get(EXIF_ORIENTATION, 1)
        upright = ImageOps.exif_transpose(image) if turn in range(2, 9) else image
        return Picture(
            _as_rgb(upright), digest(content), kind, mode, size, turn in range(2, 9), unsupported_depth(image, content)
        )

    return with_image(file, picture)


def with_image(file: Path, use: Callable[[Image.Image, bytes], T]) -> T:
    """What ``use`` makes of a file's picture and bytes. Raises Unreadable, and nothing else."""
    _quieten()
    try:
        content = file.read_bytes()
    except OSError as error:
        raise Unreadable("missing", error.strerror or str(error)) from None
    if not content:
        raise Unreadable("empty", "0 bytes")
    try:
        with Image.open(io.BytesIO(content)) as image:
            return use(image, content)
    except Unreadable:
        raise
    except UnidentifiedImageError:
        found = unsupported_depth(None, content)
        raise Unreadable("not an image", f"a TIFF of {found}" if found else f"{len(content)} bytes") from None
    except Image.DecompressionBombError as error:
        raise Unreadable("too large", str(error).partition(", could be")[0]) from None
    except Exception as error:  # Pillow's decoders raise whatever the damage leads them to: struct.error, KeyError, ...
        raise Unreadable("truncated", str(error)) from None


def digest(content: bytes) -> str:
    """BLAKE2b-128 of a file's bytes, in hexadecimal."""
    return blake2b(content, digest_size=16).hexdigest()


def _quieten() -> None:
    if QUIET not in warnings.filters:  # each time: a test runner or the user's program may have reset them
        warnings.filterwarnings("ignore", module=r"PIL\.")


def upright_size(file: Path) -> tuple[int, int]:
    """Height and width of the picture that `read` gives, from the file's first bytes; (0, 0) where there is none."""
    _quieten()
    try:
        with Image.open(file) as image:
            width, height = image.size
            told = image.format != "PNG" or "exif" in image.info  # a PNG is else decoded, to look behind its pixels
            turned = told and image.getexif().get(EXIF_ORIENTATION, 1) in range(5, 9)
    except Exception:  # `read` will say what is wrong
        return 0, 0
    return (width, height) if turned else (height, width)


def unsupported_depth(image: Image.Image | None, content: bytes) -> str:
    """What a file holds beyond three bands of eight bits, in words; empty for most.

    Pillow reads the upper eight of sixteen bits, and the first three of four bands: right for a photograph with
    transparency, and wrong for a satellite's near infrared. Transparency, of other formats than TIFF, is no band.
    """
    bits, bands = 8, 3
    if content[:4] in TIFF:
        bits, bands = _bits_and_bands(content)
        bands = 3 if image is not None and image.mode == "CMYK" else bands
    elif content.startswith(PNG):
        bits = content[24] if len(content) > 24 else bits
    elif image is not None and image.mode[0] in "IF":
        bits = 32 if image.mode in "IF" else 16
    found = [f"{bands} bands"] * (bands > 3) + [f"{bits} bits"] * (bits > 8)
    return " of ".join(found)


def _bits_and_bands(tiff: bytes) -> tuple[int, int]:
    source = io.BytesIO(tiff)
    try:
        tags = ImageFileDirectory_v2(tiff[:16] if 43 in tiff[2:4] else tiff[:8])  # 43: BigTIFF
        source.seek(tags.next)
        tags.load(source)
        return max(tags.get(BITS, (1,))), int(tags.get(BANDS, 1))
    except Exception:  # damaged: it will not be read either
        return 8, 3


def require_plain(picture: Picture) -> Picture:
    """The picture, if it is three bands of eight bits; else raises Unreadable."""
    if picture.unsupported:
        raise Unreadable(f"of {picture.unsupported}", "expected three bands of 8 bits")
    return picture


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits: keep the upper eight, where Pillow's convert() would clip
        gray = np.asarray(image).astype(np.int64)
        return Image.fromarray((gray.clip(0, 65535) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    rgb = image.convert("RGB")
    rgb.load()
    return rgb


def resize_to_square(image: Image.Image, size: int, resize: Resize) -> NDArray[np.uint8]:
    """An RGB picture as a uint8 array (3, size, size).

    ``squash`` is torchvision's ``Resize((size, size))``; ``crop`` is ``Resize(size)`` and ``CenterCrop(size)``;
    ``pad`` fits the picture inside and fills with black.
    """
    filled: Image.Image
    if resize == "squash":
        filled = image.resize((size, size), Image.Resampling.BILINEAR)
    elif resize == "crop":
        width, height = (size * side // min(image.size) for side in image.size)
        left, top = round((width - size) / 2), round((height - size) / 2)
        resized = image.resize((width, height), Image.Resampling.BILINEAR)
        filled = resized.crop((left, top, left + size, top + size))
    else:
        filled = ImageOps.pad(image, (size, size), Image.Resampling.BILINEAR)
    return np.ascontiguousarray(np.asarray(filled).transpose(2, 0, 1))


def pad_to(image: Image.Image, height: int, width: int) -> NDArray[np.uint8]:
    """An RGB picture as a uint8 array (3, height, width), at the top left, with black beside and below."""
    array = np.zeros((3, height, width), np.uint8)
    array[:, : image.height, : image.width] = np.asarray(image).transpose(2, 0, 1)
    return array
