"""Deep values: the pixels of more than 8 bits in an image that Pillow opened, which it would cut to the upper 8.

Pillow has no mode for three bands of 16 bits. It reads their upper bytes; read a second time as if in the other byte
order, it gives the lower ones.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.data.strips import pixels_of, strips
from headstart.data.tiff import MAGIC, TiffTags, complete, read_tags
from headstart.value_range import Values

PNG = b"\x89PNG"
NATIVE_OTHER = "B" if np.little_endian else "L"
OTHER_ORDER = {"16L": "16B", "16B": "16L", "16N": f"16{NATIVE_OTHER}"}
"""Byte order in the name of Pillow's raw modes -> the other one."""
GRAY_ALPHA, GRAY_IN_RGBA = ("LA;16B", "RGBA"), "gray in RGBA"
"""A PNG of gray and transparency, whose four bytes are read as if they were those of RGBA: green is the lower one."""


def deep_values(image: Image.Image, content: bytes, tags: TiffTags | None) -> Values | None:
    """Values of more than 8 bits, (H, W) or (H, W, 3), without transparency; None for an image of 8 bits or fewer."""
    if image.mode == "F":
        values: Values = pixels_of(image)
        return values if tags is None else complete(values, tags)
    if image.mode.startswith("I"):
        values = pixels_of(image)
        values = values.astype(values.dtype.newbyteorder("="), copy=False)
        if image.format in ("PNG", "PPM"):  # some versions of Pillow give their 16 bits as 32
            return values.astype(np.uint16)
        return values if tags is None else complete(values, tags)
    if not is_deep(image, content, tags):
        return None
    lower = _lower_bytes(image, content)
    values = np.empty((image.height, image.width, 3)[: 3 if len(image.getbands()) > 2 else 2], np.uint16)
    for top, strip in strips(image):
        upper = _colors(strip).astype(np.uint16)
        if lower is None:  # without the lower bytes: white stays white
            upper *= 257
        else:
            upper <<= 8
            upper |= _colors(lower, top, strip.height)
        values[top : top + strip.height] = upper
    return values


def _colors(image: Image.Image, top: int = 0, height: int | None = None) -> NDArray[np.uint8]:
    """Gray levels (H, W) or colors (H, W, 3), without transparency, of rows of an image."""
    part = image if height is None or height == image.height else image.crop((0, top, image.width, top + height))
    bands = np.asarray(part)
    if image.info.get(GRAY_IN_RGBA):
        return bands[..., [1, 1, 1]]
    return bands if bands.ndim == 2 else bands[..., 0] if bands.shape[2] == 2 else bands[..., :3]


def is_deep(image: Image.Image, content: bytes, tags: TiffTags | None) -> bool:
    """Whether an opened image has values of more than 8 bits that `deep_values` gives."""
    if image.mode[0] in "IF":
        return True
    return _bits(content, tags) > 8 and image.mode in ("L", "LA", "RGB", "RGBA")  # inks: their upper bytes


def _bits(content: bytes, tags: TiffTags | None) -> int:
    if tags is not None:
        return tags.bits
    return content[24] if content.startswith(PNG) and len(content) > 24 else 8


def _lower_bytes(image: Image.Image, content: bytes) -> Image.Image | None:
    """The lower bytes of an image of which Pillow gives the upper ones; None where it has no such raw mode."""
    with Image.open(io.BytesIO(content), formats=[image.format or ""]) as again:
        other = [_other_order(tile.args) for tile in again.tile]
        if not all(other):
            return None
        again.tile = [tile._replace(args=args) for tile, args in zip(again.tile, other, strict=True)]
        again.load()
        again.info[GRAY_IN_RGBA] = other == [GRAY_ALPHA[1]]
        return again


def _other_order(args: str | tuple[Any, ...] | None) -> str | tuple[Any, ...] | None:
    """Arguments of Pillow's decoder with the raw mode of the other byte order; None if it has none."""
    if not args:
        return None
    rawmode = args if isinstance(args, str) else args[0]
    name, _, order = str(rawmode).partition(";")
    if rawmode == GRAY_ALPHA[0]:
        return GRAY_ALPHA[1]
    if order not in OTHER_ORDER or name not in ("RGB", "RGBA", "RGBX"):
        return None
    other = f"{name};{OTHER_ORDER[order]}"
    return other if isinstance(args, str) else (other, *args[1:])


def unsupported_depth(image: Image.Image | None, content: bytes) -> str:
    """Depth of a file beyond three bands of eight bits, in words; empty for most files.

    Pillow reads the upper eight of sixteen bits, and the first three of four bands. Transparency counts as a band only
    in TIFF files.
    """
    bits, bands = 8, 3
    if content[:4] in MAGIC:
        tags = read_tags(content)
        bits, bands = (8, 3) if tags is None else (tags.bits, tags.bands)
        bands = 3 if image is not None and image.mode == "CMYK" else bands
    elif content.startswith(PNG):
        bits = content[24] if len(content) > 24 else bits
    elif image is not None and image.mode[0] in "IF":
        bits = 32 if image.mode in "IF" else 16
    found = [f"{bands} bands"] * (bands > 3) + [f"{bits} bits"] * (bits > 8)
    return " of ".join(found)
