"""Decode image files to upright RGB, or raise why not. The only module that opens image files."""

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
BITS_PER_SAMPLE, SAMPLES_PER_PIXEL = 0x0102, 0x0115
"""TIFF tags."""
TIFF, PNG = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), b"\x89PNG"
"""Magic bytes."""
PILLOW_FILTER = ("ignore", None, Warning, re.compile(r"PIL\."), 0)
"""Silences Pillow's warnings of broken metadata and of more than 89 million pixels: such files are read (from twice as
many pixels on, refused). A permanent filter is thread-safe; `warnings.catch_warnings` is not."""


class Unreadable(Exception):  # noqa: N818 - the name states the condition
    """A file that cannot be decoded. ``kind``: missing, empty, not an image, truncated, too large, of 16 bits, ..."""

    def __init__(self, kind: str, detail: str = "") -> None:
        self.kind, self.detail = kind, detail
        super().__init__(f"{kind} ({detail})" if detail else kind)


@dataclass(frozen=True)
class Picture:
    """A decoded image and facts about its file."""

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
    """Whether EXIF asked for a rotation or mirroring."""
    unsupported: str = ""
    """Depth beyond three bands of eight bits, such as ``4 bands of 16 bits``; empty for most files."""


def read(file: Path, enough_for: int | None = None) -> Picture:
    """Read and decode one image file.

    With ``enough_for`` (a side in pixels) a JPEG at least four times as large is decoded at a half, a quarter or an
    eighth of its size, still at least twice that side: much faster, and resizing hides the difference. Raises
    Unreadable, and nothing else.
    """

    def picture(image: Image.Image, content: bytes) -> Picture:
        mode, size, kind = image.mode, image.size, image.format or "?"
        if enough_for is not None and kind in ("JPEG", "MPO") and mode != "CMYK":
            image.draft(None, (2 * enough_for, 2 * enough_for))
        rotated = image.getexif().get(EXIF_ORIENTATION, 1) in range(2, 9)
        upright = ImageOps.exif_transpose(image) if rotated else image
        return Picture(_as_rgb(upright), digest(content), kind, mode, size, rotated, unsupported_depth(image, content))

    return with_image(file, picture)


def with_image(file: Path, use: Callable[[Image.Image, bytes], T]) -> T:
    """Open an image file and return ``use(image, content)``. Raises Unreadable, and nothing else."""
    _silence_pillow()
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


def _silence_pillow() -> None:
    if (
        PILLOW_FILTER not in warnings.filters
    ):  # checked every time: a test runner or the user's program may have reset the filters
        warnings.filterwarnings("ignore", module=r"PIL\.")


def upright_size(file: Path) -> tuple[int, int]:
    """Height and width of the upright image, from the file's header; (0, 0) for an unreadable file."""
    _silence_pillow()
    try:
        with Image.open(file) as image:
            width, height = image.size
            in_header = image.format != "PNG" or "exif" in image.info  # else Pillow decodes a PNG to reach its EXIF
            swapped = in_header and image.getexif().get(EXIF_ORIENTATION, 1) in range(5, 9)
    except Exception:  # `read` raises what is wrong
        return 0, 0
    return (width, height) if swapped else (height, width)


def unsupported_depth(image: Image.Image | None, content: bytes) -> str:
    """Depth of a file beyond three bands of eight bits, in words; empty for most files.

    Pillow reads the upper eight of sixteen bits, and the first three of four bands: right for a photograph with
    transparency, wrong for the near infrared of a satellite image. Transparency counts as a band only in TIFF files.
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
        return max(tags.get(BITS_PER_SAMPLE, (1,))), int(tags.get(SAMPLES_PER_PIXEL, 1))
    except Exception:  # damaged: it cannot be decoded either
        return 8, 3


def require_plain(picture: Picture) -> Picture:
    """Return ``picture`` if it has three bands of eight bits; else raise Unreadable."""
    if picture.unsupported:
        raise Unreadable(f"of {picture.unsupported}", "expected three bands of 8 bits")
    return picture


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits: keep the upper eight; Pillow's convert() would clip
        gray = np.asarray(image).astype(np.int64)
        return Image.fromarray((gray.clip(0, 65535) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    rgb = image.convert("RGB")
    rgb.load()
    return rgb


def resize_to_square(image: Image.Image, size: int, resize: Resize) -> NDArray[np.uint8]:
    """An RGB image resized to uint8 (3, size, size).

    ``squash`` is torchvision's ``Resize((size, size))``; ``crop`` is ``Resize(size)`` and ``CenterCrop(size)``;
    ``pad`` keeps the aspect ratio and pads with black.
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
    """An RGB image at the top left of uint8 (3, height, width), padded with black."""
    array = np.zeros((3, height, width), np.uint8)
    array[:, : image.height, : image.width] = np.asarray(image).transpose(2, 0, 1)
    return array
