"""One mask file -> a class for every pixel, and back. A mask is never interpolated.

Files differ from their palette in two ways. A mask saved as JPEG has colors near those of its classes: each goes to
the nearest class where there is no doubt which. Any other color or number is of no class (`palette.NOTHING`), and
told of.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.data.decode import Unreadable, digest, unsupported_depth, with_image
from headstart.palette import IGNORE_INDEX, Color, Palette

NEAR = 32
"""Greatest distance of a blurred color from its class's, in RGB of 0 to 255; it is also at most half of that to any
other class's."""
MANY = 254
"""Classes of a palette at most: one more value is `NOTHING`, and one is needed to find the rest."""
NAMED = 8
"""Strange colors that are remembered of a file by name, the commonest first."""


@dataclass(frozen=True)
class Strays:
    """Pixels of a mask whose color, or number, is no class's own."""

    pixels: int = 0
    commonest: Mapping[str, int] = field(default_factory=dict)
    """Some of them: ``#0080ff`` or ``17`` -> pixels."""


@dataclass(frozen=True)
class Mask:
    """A mask file, read."""

    classes: NDArray[np.uint8]
    """(H, W), positions in `Palette.names`, or `NOTHING`."""
    content: str
    """BLAKE2b-128 of the file's bytes, in hexadecimal."""
    near: Strays
    """Pixels that went to the class whose color is near theirs."""
    outside: Strays
    """Pixels of no class."""


def read_mask(file: Path, palette: Palette) -> NDArray[np.uint8]:
    """A mask file -> uint8 (H, W), as `Mask.classes`. Raises Unreadable, and nothing else."""
    return examine_mask(file, palette).classes


def examine_mask(file: Path, palette: Palette) -> Mask:
    """A mask file, and what in it is not of the palette. Raises Unreadable, and nothing else."""
    read = _read_numbers if palette.kind == "number" else _read_colors
    return with_image(file, lambda image, content: read(image, content, palette))


def require_mask(image: Image.Image, content: bytes) -> None:
    """Raise Unreadable for a file that cannot be a mask here: of more than 8 bits, or of more than three bands."""
    if found := unsupported_depth(image, content):
        raise Unreadable(f"of {found}", "expected a mask of 8 bits: numbers, or red, green and blue")


def numbers_of(image: Image.Image) -> NDArray[np.uint8] | None:
    """The numbers that a mask is of, uint8 (H, W): palette indices or gray levels; None where it has colors."""
    if image.mode == "1":
        return np.asarray(image.convert("L"))
    if image.mode in ("L", "P"):
        return np.asarray(image)
    if image.mode in ("LA", "La", "PA"):
        return np.asarray(image.getchannel(0))
    rgb = np.asarray(image.convert("RGB"))
    gray = bool((rgb[..., 0] == rgb[..., 1]).all() and (rgb[..., 1] == rgb[..., 2]).all())
    return np.ascontiguousarray(rgb[..., 0]) if gray else None


def codes_of(image: Image.Image) -> NDArray[np.int32]:
    """The colors that a mask is of, int32 (H, W): red * 65536 + green * 256 + blue."""
    rgb = np.asarray(image.convert("RGB")).astype(np.int32)
    codes: NDArray[np.int32] = (rgb[..., 0] << 16) | (rgb[..., 1] << 8) | rgb[..., 2]
    return codes


def colors_of(codes: NDArray[np.int32]) -> NDArray[np.int32]:
    """int32 (N,) -> red, green, blue, (N, 3)."""
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=-1)


def hexadecimal(code: int) -> str:
    return f"#{code:06x}"


def is_corner(colors: NDArray[np.int32]) -> NDArray[np.bool_]:
    """(N, 3) -> whether each channel is 0 or 255."""
    corner: NDArray[np.bool_] = ((colors == 0) | (colors == 255)).all(axis=-1)
    return corner


def _read_numbers(image: Image.Image, content: bytes, palette: Palette) -> Mask:
    require_mask(image, content)
    numbers = numbers_of(image)
    if numbers is None:
        raise Unreadable("not a mask of numbers", f"it has colors, mode {image.mode}")
    table = np.full(256, IGNORE_INDEX, np.uint8)
    table[list(palette.values)] = range(len(palette.values))
    counts = np.bincount(numbers.ravel(), minlength=256)
    counts[[*palette.values, IGNORE_INDEX]] = 0  # 255 is the custom for no class
    strange = {str(value): int(counts[value]) for value in np.argsort(-counts)[:NAMED] if counts[value]}
    return Mask(table[numbers], digest(content), Strays(), Strays(int(counts.sum()), strange))


def _read_colors(image: Image.Image, content: bytes, palette: Palette) -> Mask:
    require_mask(image, content)
    codes = codes_of(image)
    classes = _exact(palette)[codes]
    strange = classes == MANY
    if not strange.any():
        return Mask(classes, digest(content), Strays(), Strays())
    found, place, counts = np.unique(codes[strange], return_inverse=True, return_counts=True)
    nearest = nearest_class(colors_of(found), palette)
    classes[strange] = nearest[place]
    outside = nearest == IGNORE_INDEX
    near, of_none = (_strays(found[those], counts[those]) for those in (~outside, outside))
    return Mask(classes, digest(content), near, of_none)


def _strays(codes: NDArray[np.int32], counts: NDArray[np.int64]) -> Strays:
    commonest = np.argsort(-counts, kind="stable")[:NAMED]
    return Strays(int(counts.sum()), {hexadecimal(int(codes[i])): int(counts[i]) for i in commonest})


@lru_cache(maxsize=2)
def _exact(palette: Palette) -> NDArray[np.uint8]:
    """Class by color, for all 2**24 of them; `MANY` for those that no class has."""
    table = np.full(1 << 24, MANY, np.uint8)
    for number, (red, green, blue) in enumerate(palette.colors):
        table[red << 16 | green << 8 | blue] = number
    return table


def nearest_class(colors: NDArray[np.int32], palette: Palette) -> NDArray[np.uint8]:
    """Colors (N, 3) -> the class that each is of without a doubt, or `NOTHING`, uint8 (N,).

    Where all classes are corners of the cube of colors it is DeepGlobe's rule: a channel of 128 or more counts as
    255 (Demir et al. 2018). Else the nearest class, at most `NEAR` away and half as far as the next.
    """
    own = np.array(palette.colors, np.int32).reshape(-1, 3)
    if is_corner(own).all():
        snapped = np.where(colors >= 128, 255, 0)
        table = _exact(palette)[snapped[:, 0] << 16 | snapped[:, 1] << 8 | snapped[:, 2]]
        return np.where(table == MANY, IGNORE_INDEX, table).astype(np.uint8)
    squares = ((colors[:, None] - own[None]) ** 2).sum(axis=-1)
    nearest = squares.argmin(axis=1)
    first, second = np.partition(squares, 1, axis=1)[:, :2].T if len(own) > 1 else (squares[:, 0], squares[:, 0] * 9)
    clear = (first <= NEAR**2) & (4 * first <= second)
    return np.where(clear, nearest, IGNORE_INDEX).astype(np.uint8)


def mask_bytes(mask: NDArray[np.uint8], palette: Palette) -> bytes:
    """uint8 (H, W), as `Mask.classes` -> a PNG file as the data set's own masks: colors, or numbers.

    `NOTHING` is written as 255 among numbers, and in the color that `Palette.paint` gives it among colors.
    """
    mode = palette.mode or ("L" if palette.kind == "number" else "RGB")
    image: Image.Image
    if palette.kind == "number":
        table = np.full(256, IGNORE_INDEX, np.uint8)
        table[: len(palette.values)] = palette.values
        numbers = table[mask]
        image = Image.fromarray(numbers if mode != "RGB" else np.repeat(numbers[..., None], 3, axis=2))
        if mode == "P":
            image.putpalette(_color_table(palette.colors, palette.values))
    elif mode == "P":
        image = Image.fromarray(np.where(mask < len(palette.names), mask, len(palette.classes)).astype(np.uint8))
        nothing = [(0, 0, 0)] * (not palette.ignored)
        image.putpalette(_color_table((*palette.colors, *nothing), range(len(palette.names) + len(nothing))))
    else:
        painted = palette.colorize(mask)
        image = Image.fromarray(painted if mode == "RGB" else np.ascontiguousarray(painted[..., 0]))
    png = io.BytesIO()
    image.save(png, "PNG")
    return png.getvalue()


def _color_table(colors: tuple[Color, ...], values: tuple[int, ...] | range) -> bytes:
    """256 colors, black where no class is, and white for 255."""
    table = np.zeros((256, 3), np.uint8)
    table[IGNORE_INDEX] = 255
    table[list(values)] = colors
    return table.tobytes()
