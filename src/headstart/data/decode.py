"""Decode image files to upright RGB of 8 bits, or raise why not. The only module that opens image files."""

from __future__ import annotations

import io
import logging
import re
import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import IO, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from headstart.data.conversion import Conversion, too_many_bands
from headstart.data.deep import deep_values, unsupported_depth
from headstart.data.formats import PREFIX, accepts, describe, formats_for, read_head
from headstart.data.other_formats import array_size, read_array
from headstart.data.resize import Resize, pad_to, resize_to_square
from headstart.data.tiff import TiffTags, load_tags, read_bands, read_tags
from headstart.data.unreadable import Unreadable
from headstart.value_range import ValueRange, Values

__all__ = [
    "Picture",
    "Resize",
    "Unreadable",
    "digest",
    "header_of",
    "pad_to",
    "read",
    "read_deep",
    "resize_to_square",
    "unsupported_depth",
    "upright_size",
    "with_image",
]

T = TypeVar("T")
EXIF_ORIENTATION = 0x0112
PILLOW_FILTER = ("ignore", None, Warning, re.compile(r"PIL\."), 0)
"""Silences Pillow's warnings of broken metadata and of more than 89 million pixels: such files are read (from twice as
many pixels on, refused). A permanent filter is thread-safe; `warnings.catch_warnings` is not."""
logging.getLogger("PIL").addHandler(logging.NullHandler())  # it writes of damaged TIFFs to the terminal, as do errors
GRADED = 0.5
"""In a TIFF, a fourth band that is neither clear nor opaque in a larger share of the pixels is no transparency."""
MIN_JPEG_BYTES = 1 / 256
"""Bytes per pixel that a JPEG has at least: two bits for each block of 8 x 8 of each of its components."""
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
    alpha: NDArray[np.uint8] | None = None
    """Transparency of deep values (H, W)."""


def read(file: Path, enough_for: int | None = None, conversion: Conversion | None = None) -> Picture:
    """Read and decode one image file.

    With ``enough_for`` (a side in pixels) a JPEG at least four times as large is decoded at a half, a quarter or an
    eighth of its size, still at least twice that side: much faster, and resizing hides the difference. ``conversion``
    makes deep values and further bands red, green and blue. Raises Unreadable, and nothing else.
    """
    conversion = conversion or Conversion()
    content = read_content(file)
    with _explained(content):
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
    return Picture(
        rgb, digest(content), found.format, found.mode, found.size, found.orientation in TURNS, known, transparent
    )


def read_deep(file: Path, conversion: Conversion | None = None) -> Values | None:
    """Values of an image of more than 8 bits, (H, W) or (H, W, 3); None for 8 bits. Raises Unreadable."""
    content = read_content(file)
    with _explained(content):
        pixels = _decode(content, None, conversion or Conversion()).pixels
    return None if isinstance(pixels, Image.Image) else pixels


def _decode(content: bytes, enough_for: int | None, conversion: Conversion) -> _Decoded:
    array = read_array(content)
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
        too_large = image.width * image.height > conversion.max_pixels
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
    if enough_for is not None and kind in ("JPEG", "MPO") and mode != "CMYK":
        _draft(image, content, enough_for, conversion)
    conversion.require_pixels(*image.size)
    orientation = image.getexif().get(EXIF_ORIENTATION, 1)
    image.load()
    turned = image.getexif().get(EXIF_ORIENTATION, 1) != orientation
    values = deep_values(image, content, tags)
    if values is not None:
        alpha = np.asarray(image.getchannel("A")) if mode in ("RGBA", "LA") else None
        _require_transparency(alpha, tags)
        return _Decoded(conversion.select_bands(values), kind, mode, size, orientation, turned, alpha)
    if conversion.bands is not None:
        plain = image.convert("RGB") if mode in ("P", "1") or image.has_transparency_data else image
        image = Image.fromarray(conversion.select_bands(np.asarray(plain)))
        image.getexif()[EXIF_ORIENTATION] = 1 if turned else orientation
    elif tags is not None and mode in ("RGBA", "LA"):
        _require_transparency(np.asarray(image.getchannel("A")), tags)
    return _Decoded(image, kind, mode, size, orientation, turned)


def _draft(image: Image.Image, content: bytes, enough_for: int, conversion: Conversion) -> None:
    """Have a JPEG decoded at a fraction of its size. Beyond the limit only where its data can be that large.

    A progressive JPEG is held in memory as a whole while it is decoded, whatever the fraction.
    """
    width, height = image.size
    if len(content) < width * height * MIN_JPEG_BYTES or "progressive" in image.info:
        conversion.require_pixels(width, height)
    image.draft(None, (2 * enough_for, 2 * enough_for))


def _require_transparency(alpha: NDArray[np.uint8] | None, tags: TiffTags | None) -> None:
    """Raise Unreadable for the last band of a TIFF that is graded all over: the near infrared, not transparency."""
    if alpha is None or tags is None or alpha.min() == alpha.max():
        return
    if ((alpha > 0) & (alpha < 255)).mean() > GRADED:
        raise too_many_bands(tags.bands)


def _flatten(image: Image.Image) -> tuple[Image.Image, bool]:
    """RGB, with what is transparent over white, as viewers show it; transparency that is the same all over is none."""
    if not image.has_transparency_data:
        rgb = image.convert("RGB")
        rgb.load()
        return rgb, False
    rgba = image.convert("RGBA")
    low, high = rgba.getchannel("A").getextrema()
    if low == high:
        return rgba.convert("RGB"), False
    white = Image.new("RGBA", rgba.size, "white")
    white.alpha_composite(rgba)
    return white.convert("RGB"), True


def with_image(file: Path, use: Callable[[Image.Image, bytes], T]) -> T:
    """Open an image file and return ``use(image, content)``. Raises Unreadable, and nothing else."""
    content = read_content(file)
    with _explained(content), open_image(content) as image:
        Conversion().require_pixels(*image.size)
        return use(image, content)


def read_content(file: Path) -> bytes:
    """The bytes of a regular file. Raises Unreadable for a missing or empty one, and for pipes and devices."""
    _silence_pillow()
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise Unreadable("not a regular file", "a folder" if file.is_dir() else "a pipe or a device")
        content = file.read_bytes()
    except OSError as error:
        raise Unreadable("missing", error.strerror or str(error)) from None
    if not content:
        raise Unreadable("empty", "0 bytes")
    return content


@contextmanager
def _explained(content: bytes) -> Iterator[None]:
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
    array = read_array(content)
    if array is not None:
        return Image.fromarray(array[0])
    return _open(io.BytesIO(content), content[:PREFIX])


def _open(source: IO[bytes], head: bytes) -> Image.Image:
    formats = formats_for(head)
    try:
        return Image.open(source, formats=formats)
    except Image.DecompressionBombError:  # raised for the size alone: the plugin opens it all the same
        source.seek(0)
        opened: Image.Image = Image.OPEN[next(name for name in formats if accepts(name, head))][0](source, "")
        return opened


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
        in_header = image.format != "PNG" or "exif" in image.info  # else Pillow decodes a PNG to reach its EXIF
        return image.size, image.getexif().get(EXIF_ORIENTATION, 1) if in_header else 1


def digest(content: bytes) -> str:
    """BLAKE2b-128 of a file's bytes, in hexadecimal."""
    return blake2b(content, digest_size=16).hexdigest()


def _silence_pillow() -> None:
    if (
        PILLOW_FILTER not in warnings.filters
    ):  # checked every time: a test runner or the user's program may have reset the filters
        warnings.filterwarnings("ignore", module=r"PIL\.")
