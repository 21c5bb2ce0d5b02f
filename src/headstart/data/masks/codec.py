"""Decode mask files to class indices, and encode them back. Masks are never interpolated.

Files deviate from their palette in two ways. A mask saved as JPEG has colors near those of its classes: each is
assigned to the nearest class where that is unambiguous. Any other color or number belongs to no class, becomes
`IGNORE_INDEX`, and is counted.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.data.decode import Unreadable
from headstart.data.masks.mask_file import (
    MaskFile,
    codes_of,
    colors_of,
    hexadecimal,
    numbers_of,
    read_mask_file,
    with_transparency,
)
from headstart.data.masks.orientation import turned
from headstart.data.masks.origin import png_mark
from headstart.data.memory import decoding
from headstart.data.strips import blocks
from headstart.palette import IGNORE_INDEX, Color, Palette

MAX_COLOR_DISTANCE = 32
"""Largest Euclidean distance of a color from its class's, in RGB of 0 to 255. It must also be at most half the distance
to any other class's."""
MAX_DETOUR = 1.4
"""Soft edges of two colors: how much longer the way from one to the other over a pixel may be (resizing overshoots)."""
MAX_CLASSES = 254
"""Most classes of a palette: of 256 values, 255 is `IGNORE_INDEX` and 254 marks unknown colors while decoding."""
UNKNOWN_COLOR = 254
LISTED_COLORS = 8
"""Unknown colors listed per file, most common first."""


@dataclass(frozen=True)
class ColorCounts:
    """Pixels of a mask whose color, or number, is not exactly that of a class."""

    pixels: int = 0
    most_common: Mapping[str, int] = field(default_factory=dict)
    """The most common colors or numbers: ``#0080ff`` or ``17`` -> pixels."""


@dataclass(frozen=True)
class Mask:
    """A decoded mask file."""

    classes: NDArray[np.uint8]
    """uint8 (H, W): positions in `Palette.names`, or `IGNORE_INDEX`."""
    content: str
    """BLAKE2b-128 of the file's bytes, in hexadecimal."""
    near: ColorCounts
    """Pixels assigned to the class with the nearest color."""
    outside: ColorCounts
    """Pixels of no class."""
    hidden: int = 0
    """Transparent pixels, read as background."""
    black: int = 0
    """Beside transparent pixels, visible ones that are read as the same class."""


def read_mask(file: Path, palette: Palette, orientation: int = 1) -> NDArray[np.uint8]:
    """Decode a mask file to uint8 (H, W), as `Mask.classes`. Raises Unreadable, and nothing else."""
    return examine_mask(file, palette, orientation).classes


def examine_mask(file: Path, palette: Palette, orientation: int = 1) -> Mask:
    """Decode a mask file and count the colors outside its palette. Raises Unreadable, and nothing else.

    ``orientation``: the EXIF orientation to turn it by, as `turn_of` finds.
    """
    with decoding():
        return _examine(with_transparency(read_mask_file(file), palette.transparency), palette, orientation)


def _examine(mask: MaskFile, palette: Palette, orientation: int) -> Mask:
    found = _read_numbers(mask, palette) if palette.kind == "number" else _read_colors(mask, palette)
    if palette.soft and len(palette.names) > 2:
        found = _without_thin(found)
    classes = turned(found.classes, orientation) if orientation != 1 else found.classes
    return replace(found, classes=classes, hidden=mask.hidden, black=mask.black)


def _without_thin(mask: Mask) -> Mask:
    """``mask`` without pixels that are in no 2 x 2 pixels of one class: an edge of two classes crosses a third one."""
    here = mask.classes[:-1, :-1]
    corners = mask.classes[1:, :-1], mask.classes[:-1, 1:], mask.classes[1:, 1:]
    solid = np.logical_and.reduce([here == corner for corner in corners])
    kept = np.zeros(mask.classes.shape, bool)
    for part in (kept[:-1, :-1], kept[1:, :-1], kept[:-1, 1:], kept[1:, 1:]):
        np.logical_or(part, solid, out=part)
    thin = int((~kept & (mask.classes != IGNORE_INDEX)).sum())
    outside = replace(mask.outside, pixels=mask.outside.pixels + thin)
    return replace(mask, classes=np.where(kept, mask.classes, np.uint8(IGNORE_INDEX)), outside=outside)


def is_corner(colors: NDArray[np.int32]) -> NDArray[np.bool_]:
    """(N, 3) -> bool (N,): whether every channel is 0 or 255, a corner of the RGB cube."""
    corner: NDArray[np.bool_] = ((colors == 0) | (colors == 255)).all(axis=-1)
    return corner


def _read_numbers(mask: MaskFile, palette: Palette) -> Mask:
    numbers = numbers_of(mask)
    if numbers is None:
        raise Unreadable("not a mask of numbers", "it has colors")
    table = class_of_number(palette)
    pixels = np.bincount(numbers.ravel(), minlength=256)
    pixels[[*palette.values, IGNORE_INDEX]] = 0  # 255 is "ignore" by convention
    outside = table == IGNORE_INDEX
    near, of_none = (_number_counts(np.where(those, pixels, 0)) for those in (~outside, outside))
    return Mask(table[numbers], mask.content, near, of_none)


def _number_counts(pixels: NDArray[np.int64]) -> ColorCounts:
    most_common = np.argsort(-pixels, kind="stable")[:LISTED_COLORS].tolist()
    return ColorCounts(int(pixels.sum()), {str(n): int(pixels[n]) for n in most_common if pixels[n]})


@lru_cache(maxsize=2)
def class_of_number(palette: Palette) -> NDArray[np.uint8]:
    """Lookup table of 256 numbers: the class, or `IGNORE_INDEX`.

    With `Palette.soft`, numbers between two classes count as the nearer one: of two classes in all, from half on as
    the higher one; of more, only up to a third of the way, as a soft edge crosses the numbers of classes between.
    """
    table = np.full(256, IGNORE_INDEX, np.uint8)
    values = np.array(palette.values)
    if palette.soft and len(values):
        away = abs(np.arange(256)[:, None] - values)
        first, second = np.sort(away, axis=1)[:, :2].T if len(values) > 1 else (away[:, 0], away[:, 0])
        limit = second if len(values) <= 2 else second / 2
        table = np.where(first <= limit, away.shape[1] - 1 - away[:, ::-1].argmin(axis=1), table).astype(np.uint8)
    table[list(palette.values)] = range(len(values))
    if IGNORE_INDEX not in palette.values:
        table[IGNORE_INDEX] = IGNORE_INDEX
    return table


def _read_colors(mask: MaskFile, palette: Palette) -> Mask:
    table, classes = _class_of_code(palette), np.empty(mask.bands.shape[:2], np.uint8)
    total: Counter[int] = Counter()
    for rows in blocks(classes.shape):
        codes = codes_of(mask, rows)
        classes[rows] = table[codes]
        unknown = classes[rows] == UNKNOWN_COLOR
        if unknown.any():
            found, counts = np.unique(codes[unknown], return_counts=True)
            total.update(dict(zip(found.tolist(), counts.tolist(), strict=True)))
    if not total:
        return Mask(classes, mask.content, ColorCounts(), ColorCounts())
    found = np.array(sorted(total), np.int32)
    counts = np.array([total[code] for code in found.tolist()])
    nearest = nearest_class(colors_of(found), palette)
    for rows in blocks(classes.shape):
        unknown = classes[rows] == UNKNOWN_COLOR
        classes[rows][unknown] = nearest[np.searchsorted(found, codes_of(mask, rows)[unknown])]
    outside = nearest == IGNORE_INDEX
    near, of_none = (_color_counts(found[those], counts[those]) for those in (~outside, outside))
    return Mask(classes, mask.content, near, of_none)


def _color_counts(codes: NDArray[np.int32], counts: NDArray[np.int64]) -> ColorCounts:
    most_common = np.argsort(-counts, kind="stable")[:LISTED_COLORS]
    return ColorCounts(int(counts.sum()), {hexadecimal(int(codes[i])): int(counts[i]) for i in most_common})


@lru_cache(maxsize=2)
def _class_of_code(palette: Palette) -> NDArray[np.uint8]:
    """Lookup table over all 2**24 color codes: the class, or `UNKNOWN_COLOR`."""
    table = np.full(1 << 24, UNKNOWN_COLOR, np.uint8)
    for number, (red, green, blue) in enumerate(palette.colors):
        table[red << 16 | green << 8 | blue] = number
    return table


def nearest_class(colors: NDArray[np.int32], palette: Palette) -> NDArray[np.uint8]:
    """Colors (N, 3) -> the class that each belongs to unambiguously, or `IGNORE_INDEX`, uint8 (N,).

    Where all classes are corners of the RGB cube, DeepGlobe's rule applies: a channel of 128 or more counts as 255
    (Demir et al. 2018). Else the nearest class, at most `MAX_COLOR_DISTANCE` away and half as far as the next.
    """
    own = np.array(palette.colors, np.int32).reshape(-1, 3)
    if is_corner(own).all():
        snapped = np.where(colors >= 128, 255, 0)
        found = _class_of_code(palette)[snapped[:, 0] << 16 | snapped[:, 1] << 8 | snapped[:, 2]]
        return np.where(found == UNKNOWN_COLOR, IGNORE_INDEX, found).astype(np.uint8)
    squares = ((colors[:, None] - own[None]) ** 2).sum(axis=-1)
    nearest = squares.argmin(axis=1)
    if palette.soft and len(own) == 2:  # a blend lies on the way from one to the other
        detour = np.sqrt(squares).sum(axis=1) / np.sqrt(((own[0] - own[1]) ** 2).sum())
        nearest = np.where(squares[:, 0] == squares[:, 1], own.sum(axis=1).argmax(), nearest)
        return np.where(detour <= MAX_DETOUR, nearest, IGNORE_INDEX).astype(np.uint8)
    first, second = np.partition(squares, 1, axis=1)[:, :2].T if len(own) > 1 else (squares[:, 0], squares[:, 0] * 9)
    unambiguous = (first <= MAX_COLOR_DISTANCE**2) & (4 * first <= second)
    return np.where(unambiguous, nearest, IGNORE_INDEX).astype(np.uint8)


def mask_bytes(mask: NDArray[np.uint8], palette: Palette) -> bytes:
    """Encode uint8 (H, W), as `Mask.classes`, as a PNG file in the form of the dataset's own masks: colors or numbers.

    `IGNORE_INDEX` is written as 255 in masks of numbers, and in the color of `Palette.colorize` in masks of colors.
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
        black = [(0, 0, 0)] * (not palette.ignored)
        image.putpalette(_color_table((*palette.colors, *black), range(len(palette.names) + len(black))))
    else:
        painted = palette.colorize(mask)
        image = Image.fromarray(painted if mode == "RGB" else np.ascontiguousarray(painted[..., 0]))
    png = io.BytesIO()
    image.save(png, "PNG", pnginfo=png_mark())
    return png.getvalue()


def _color_table(colors: tuple[Color, ...], values: tuple[int, ...] | range) -> bytes:
    """A PNG palette of 256 colors: those of the classes, white for 255, black for the rest."""
    table = np.zeros((256, 3), np.uint8)
    table[IGNORE_INDEX] = 255
    table[list(values)] = colors
    return table.tobytes()
