"""Decode image files to upright RGB of 8 bits, or raise why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from headstart.data.conversion import Conversion, too_many_bands
from headstart.data.deep import deep_values, unsupported_depth
from headstart.data.memory import decoding, reserve
from headstart.data.open_image import (
    EXIF_ORIENTATION,
    RGB,
    TURNS,
    decoded_bytes,
    digest,
    explained,
    open_image,
    progressive_bytes,
    read_content,
    upright_size,
    with_image,
)
from headstart.data.other_formats import read_array
from headstart.data.resize import Resize, pad_to, resize_to_square
from headstart.data.strips import pixels_of, strips
from headstart.data.tiff import TiffTags, read_bands, read_tags
from headstart.data.unreadable import Unreadable
from headstart.value_range import ValueRange, Values

__all__ = [
    "Picture",
    "Resize",
    "Unreadable",
    "digest",
    "is_graded",
    "pad_to",
    "read",
    "read_deep",
    "read_upload",
    "resize_to_square",
    "unsupported_depth",
    "upright_size",
    "with_image",
]

GRADED = 0.5
"""In a TIFF, a fourth band that is not opaque in a larger share of the pixels that are not clear is no transparency."""
BANDS_BYTES = 12
"""Bytes per pixel that it takes to choose bands: all of them, those that were chosen, and an image of these."""
MIN_JPEG_BYTES = 1 / 256
"""Bytes per pixel that a JPEG has at least: two bits for each block of 8 x 8 of each of its components."""
PAGED = ("TIFF", "GIF", "WEBP", "PNG", "AVIF")
"""Formats of several pages or frames. Not MPO: a phone's second image is the same one for a television."""


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
    """Pillow's mode in the file: L, RGB, RGBA, P, CMYK, I;16, ...; the type of the numbers of other deep files."""
    size: tuple[int, int]
    """Width and height in the file, before rotation."""
    rotated: bool
    """Whether EXIF asked for a rotation or mirroring."""
    range: ValueRange | None = None
    """Values that became 0 and 255, of an image of more than 8 bits."""
    transparent: bool = False
    """Whether parts are transparent, and shown over white."""
    paged: bool = False
    """Whether the file holds more images than this one, its first: pages, or frames of an animation."""


@dataclass(frozen=True)
class _Decoded:
    """Pixels of a file as its decoder gives them: deep values, or an image of 8 bits."""

    pixels: Image.Image | Values
    format: str
    mode: str
    size: tuple[int, int]
    orientation: int = 1
    """EXIF orientation in the file."""
    turned: bool = False
    """Whether the pixels are upright already: Pillow turns TIFF files as it loads them."""
    paged: bool = False
    alpha: NDArray[np.uint8] | None = None
    """Transparency of deep values (H, W)."""


def read(file: Path, enough_for: int | None = None, conversion: Conversion | None = None) -> Picture:
    """Read and decode one image file.

    With ``enough_for`` (a side in pixels) a JPEG at least four times as large is decoded at a half, a quarter or an
    eighth of its size, still at least twice that side: much faster, and resizing hides the difference. ``conversion``
    makes deep values and further bands red, green and blue. Raises Unreadable, and nothing else.
    """
    conversion = conversion or Conversion()
    with decoding():
        content = read_content(file, conversion.max_bytes)
        with explained(content):
            return _read(content, enough_for, conversion)


def read_upload(content: bytes, enough_for: int | None = None, conversion: Conversion | None = None) -> Picture:
    """Decode an image file that is in memory, as `read` does. Raises Unreadable, and nothing else."""
    conversion = conversion or Conversion()
    with decoding():
        if not content:
            raise Unreadable("empty", "0 bytes")
        with explained(content):
            return _read(content, enough_for, conversion)


def _read(content: bytes, enough_for: int | None, conversion: Conversion) -> Picture:
    found = _decode(content, enough_for, conversion)
    turn = None if found.turned else TURNS.get(found.orientation)
    known, transparent = None, False
    if isinstance(found.pixels, Image.Image):
        upright = ImageOps.exif_transpose(found.pixels) if turn else found.pixels
        rgb, transparent = _flatten(upright)
    else:
        rgb, known = conversion.to_rgb(turn(found.pixels) if turn else found.pixels)
        if found.alpha is not None and found.alpha.min() < found.alpha.max():
            alpha = Image.fromarray(np.ascontiguousarray(turn(found.alpha) if turn else found.alpha))
            rgb, transparent = Image.composite(rgb, Image.new("RGB", rgb.size, "white"), alpha), True
    rotated = found.orientation in TURNS
    facts = (found.format, found.mode, found.size, rotated, known, transparent, found.paged)
    return Picture(rgb, digest(content), *facts)


def read_deep(file: Path, conversion: Conversion | None = None) -> Values | None:
    """Values of an image of more than 8 bits, (H, W) or (H, W, 3); None for 8 bits. Raises Unreadable."""
    conversion = conversion or Conversion()
    with decoding():
        content = read_content(file, conversion.max_bytes)
        with explained(content):
            pixels = _decode(content, None, conversion).pixels
    return None if isinstance(pixels, Image.Image) else pixels


def _decode(content: bytes, enough_for: int | None, conversion: Conversion) -> _Decoded:
    array = read_array(content, conversion)
    if array is not None:
        values, kind = array
        conversion.require_pixels(values.shape[1], values.shape[0])
        return _of_array(conversion.select_bands(_without_alpha(values, conversion)), kind, values.shape[1::-1])
    tags = read_tags(content)
    if tags is not None and tags.preview:
        raise Unreadable("a raw file", "of a camera, and Pillow reads its preview: convert it to TIFF or JPEG")
    try:
        image = open_image(content)
    except UnidentifiedImageError:
        if tags is None or not all(tags.size):
            raise
        return _of_bands(content, tags, conversion, enough_for)  # a TIFF of bands that Pillow has no mode for
    with image:
        pixels = image.width * image.height
        taken = pixels * decoded_bytes(image, content, tags) + len(content)
        too_large = pixels > conversion.max_pixels or taken > conversion.max_bytes
        in_strips = too_large and enough_for is not None and tags is not None and tags.plain
        if tags is not None and (in_strips or _needs_bands(image, tags, conversion)):
            return _of_bands(content, tags, conversion, enough_for)
        return _of_image(image, content, tags, enough_for, conversion)


def _needs_bands(image: Image.Image, tags: TiffTags, conversion: Conversion) -> bool:
    """Whether a TIFF holds more bands than Pillow would give, or bands of 16 bits that it cannot give."""
    held = len(image.getbands())
    return tags.bands > held or (tags.bands > 3 and conversion.bands is not None) or (tags.separate and tags.bits > 8)


def _of_bands(content: bytes, tags: TiffTags, conversion: Conversion, enough_for: int | None) -> _Decoded:
    values = read_bands(content, tags, conversion, enough_for)
    found = _of_array(values, "TIFF", tags.size)
    return _Decoded(found.pixels, found.format, found.mode, tags.size, tags.orientation)


def _of_array(values: Values, kind: str, size: tuple[int, int]) -> _Decoded:
    if values.dtype == np.uint8:
        image = Image.fromarray(values)
        return _Decoded(image, kind, image.mode, size)
    return _Decoded(values, kind, str(values.dtype), size)


def _without_alpha(values: Values, conversion: Conversion) -> Values:
    """Four bands of 8 bits without the fourth, if it is no band but the same everywhere."""
    four = values.ndim == 3 and values.shape[2] == 4 and conversion.bands is None
    return values[..., :3].copy() if four and values[..., 3].min() == values[..., 3].max() else values


def _of_image(
    image: Image.Image, content: bytes, tags: TiffTags | None, enough_for: int | None, conversion: Conversion
) -> _Decoded:
    mode, kind = image.mode, image.format or "?"
    size = image.size if tags is None or not all(tags.size) else tags.size
    coefficients = progressive_bytes(image, content)
    width, height = image.size if enough_for is None else _reduce(image, content, enough_for, conversion)
    conversion.require_pixels(width, height)
    per_pixel = decoded_bytes(image, content, tags) + (BANDS_BYTES if conversion.bands is not None else 0)
    taken = max(width * height * per_pixel, coefficients + width * height * RGB)
    reserve(taken + len(content), conversion.max_bytes)
    orientation = image.getexif().get(EXIF_ORIENTATION, 1)
    image.load()
    turned = image.getexif().get(EXIF_ORIENTATION, 1) != orientation
    paged = kind in PAGED and _is_paged(image, content)
    values = deep_values(image, content, tags)
    if values is not None:
        alpha = np.asarray(image.getchannel("A")) if mode in ("RGBA", "LA") else None
        _require_transparency(alpha, tags)
        return _Decoded(conversion.select_bands(values), kind, mode, size, orientation, turned, paged, alpha)
    if conversion.bands is not None:
        plain = image.convert("RGB") if mode in ("P", "1") or image.has_transparency_data else image
        image = Image.fromarray(conversion.select_bands(pixels_of(plain)))
        image.getexif()[EXIF_ORIENTATION] = 1 if turned else orientation
    elif tags is not None and mode in ("RGBA", "LA"):
        _require_transparency(np.asarray(image.getchannel("A")), tags)
    return _Decoded(image, kind, mode, size, orientation, turned, paged)


def _reduce(image: Image.Image, content: bytes, enough_for: int, conversion: Conversion) -> tuple[int, int]:
    """Have a JPEG decoded at a fraction of its size, still twice ``enough_for``: width and height as decoded.

    A JPEG 2000 is reduced only beyond the limit. A JPEG beyond the limit is reduced only where the data of the file can
    be that large, and unless it is progressive: such a file is held in memory as a whole while it is decoded.
    """
    width, height = image.size
    too_large = width * height > conversion.max_pixels
    if image.format in ("JPEG", "MPO") and (image.mode != "CMYK" or too_large):
        claimed = len(content) < width * height * MIN_JPEG_BYTES
        if not too_large or not (claimed or "progressive" in image.info):
            image.draft(None, (2 * enough_for, 2 * enough_for))
    elif image.format == "JPEG2000" and too_large:
        levels = max(0, (min(width, height) // (2 * enough_for)).bit_length() - 1)
        image.reduce = levels  # type: ignore[assignment,method-assign]
        return width >> levels, height >> levels
    return image.size


def _is_paged(image: Image.Image, content: bytes) -> bool:
    """Whether a file holds further pages or frames. A GIF is opened again: to find out moves on to the next frame."""
    if image.format != "GIF":
        return bool(getattr(image, "is_animated", False))
    with open_image(content) as again:
        return bool(getattr(again, "is_animated", False))


def _require_transparency(alpha: NDArray[np.uint8] | None, tags: TiffTags | None) -> None:
    """Raise Unreadable for the last band of a TIFF that is graded all over: the near infrared, not transparency."""
    if alpha is not None and tags is not None and alpha.min() != alpha.max() and is_graded(alpha, 255):
        raise too_many_bands(tags.bands)


def is_graded(alpha: Values, opaque: int) -> bool:
    """Whether most of what a band shows is neither clear nor opaque: a band of its own, and no transparency."""
    visible = alpha > 0
    return bool((visible & (alpha < opaque)).sum() > GRADED * visible.sum())


def _flatten(image: Image.Image) -> tuple[Image.Image, bool]:
    """RGB, with what is transparent over white, as viewers show it; transparency that is the same all over is none."""
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB"), False
    ends = [strip.convert("RGBA").getchannel("A").getextrema() for _, strip in strips(image)]
    if min(low for low, _ in ends) == max(high for _, high in ends):
        return _in_strips(image, lambda strip: strip.convert("RGBA").convert("RGB")), False
    return _in_strips(image, _over_white), True


def _over_white(image: Image.Image) -> Image.Image:
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, "white")
    white.alpha_composite(rgba)
    return white.convert("RGB")


def _in_strips(image: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """RGB of an image that is converted strip by strip."""
    rgb = Image.new("RGB", image.size)
    for top, strip in strips(image):
        rgb.paste(convert(strip), (0, top))
    return rgb
