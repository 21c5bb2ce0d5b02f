"""Color statistics of the masks of a dataset: which numbers and colors they hold, and pixels of each."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from headstart.data.decode import Unreadable
from headstart.data.masks.codec import MAX_CLASSES
from headstart.data.masks.mask_file import (
    MaskFile,
    codes_of,
    colors_of,
    numbers_of,
    read_mask_file,
    visible_pixels,
    with_transparency,
)
from headstart.data.memory import decoding
from headstart.data.strips import blocks
from headstart.palette import Transparency

MAX_CODES = 1 << 16
"""Different colors from which on new ones are rounded to 5 bits: blurred masks have tens of thousands of colors."""
Plane = TypeVar("Plane", np.uint8, np.int32)
COMMON = 0.01
"""Share of the pixels from which on an opacity is a level of its own, not that of soft edges."""


class _FileStats(NamedTuple):
    """Color statistics of one mask file."""

    mode: Literal["L", "P", "RGB"]
    numbers: Counter[int] | None
    codes: Counter[int]
    solid: Counter[int]
    ramps: Counter[int]
    code_of: dict[int, int]
    lossy: bool


class MaskColorStats:
    """Color statistics of all masks together. Colors are codes: red * 65536 + green * 256 + blue."""

    def __init__(self, transparency: Transparency = "background") -> None:
        self.transparency: Transparency = transparency
        """How the masks' transparency was read, as `Palette.transparency`."""
        self.modes: set[Literal["L", "P", "RGB"]] = set()
        self._numbers: Counter[int] | None = Counter()
        self.tables_agree = True
        """Whether no two files show the same number in different colors."""
        self.codes: Counter[int] = Counter()
        """Color -> pixels; beyond `MAX_CODES` colors, further ones that fill no area are rounded."""
        self.solid: Counter[int] = Counter()
        """Color -> places where it fills 2 x 2 pixels: none for a color that is only in soft edges, or noise."""
        self.ramps: Counter[int] = Counter()
        """Color -> pixels, of gray masks only, between a darker and a brighter neighbor: all of them in a soft edge."""
        self.code_of: dict[int, int] = {}
        """Number -> its color."""
        self.corners: Counter[int] = Counter()
        """Color -> pixels, with each channel rounded to 0 or 255 (DeepGlobe's rule)."""
        self.far = 0
        """Pixels more than 64 from that rounding in some channel."""
        self.lossy = False
        """Whether any file is in a lossy format."""

    def add(self, file: _FileStats) -> None:
        """Add the statistics of one more file."""
        self.modes.add(file.mode)
        self.lossy |= file.lossy
        self.tables_agree &= all(self.code_of.get(number, code) == code for number, code in file.code_of.items())
        self._numbers = None if file.numbers is None or self._numbers is None else self._numbers + file.numbers
        self.code_of |= file.code_of
        colors = colors_of(np.fromiter(file.codes, np.int32, len(file.codes)))
        counts = np.fromiter(file.codes.values(), np.int64, len(file.codes))
        bright = colors >= 128
        self.far += int(counts[(abs(255 * bright - colors) > 64).any(axis=1)].sum())
        pixels = np.bincount(bright @ np.array([4, 2, 1]), counts, minlength=8)
        for corner in pixels.nonzero()[0].tolist():
            code = 0xFF0000 * (corner >> 2) + 0xFF00 * (corner >> 1 & 1) + 0xFF * (corner & 1)
            self.corners[code] += int(pixels[corner])
        self.solid.update(file.solid)
        self.ramps.update(file.ramps)
        if len(self.codes) <= MAX_CODES:
            self.codes.update(file.codes)
            return
        for code, count in file.codes.items():
            known = code in self.codes or code in file.solid
            self.codes[code if known else code & 0xF8F8F8 | 0x040404] += count

    @property
    def numbers(self) -> Counter[int] | None:
        """Number -> pixels; None for masks of colors: of color files, or of indices whose colors are what agrees.

        Where two files show the same number in different colors, whichever there are fewer of means the classes.
        """
        by_number = self._numbers is not None and (self.tables_agree or len(self._numbers) < len(self.codes))
        return self._numbers if by_number else None

    @property
    def mode(self) -> Literal["L", "P", "RGB"]:
        """Pillow's mode in which such masks are written."""
        return "RGB" if "RGB" in self.modes else "P" if "P" in self.modes else "L"


class _Opacity(NamedTuple):
    """What a mask file with an opacity paints."""

    colors: frozenset[int]
    """Colors of its visible pixels; of many, some."""
    pixels: NDArray[np.int64]
    """(256,): pixels of each opacity."""


def collect_color_stats(masks: Sequence[Path]) -> MaskColorStats:
    """Read masks and add up their color statistics. Unreadable files are skipped: their use raises the error."""
    stats, opacities = _collect(masks, "background")
    found = _transparency(opacities)
    return stats if found == "background" else _collect(masks, found)[0]


def _collect(masks: Sequence[Path], transparency: Transparency) -> tuple[MaskColorStats, list[_Opacity]]:
    stats, opacities = MaskColorStats(transparency), []
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for found in threads.map(partial(_examine, transparency=transparency), masks):
            if found is not None:
                stats.add(found[0])
                opacities += [found[1]] if found[1] else []
    return stats, opacities


def _examine(file: Path, transparency: Transparency) -> tuple[_FileStats, _Opacity | None] | None:
    try:
        with decoding():
            return _stats_and_opacity(read_mask_file(file), transparency)
    except Unreadable:
        return None


def _stats_and_opacity(mask: MaskFile, transparency: Transparency) -> tuple[_FileStats, _Opacity | None]:
    opacity = None
    if mask.alpha is not None:
        colors = np.unique(codes_of(mask)[visible_pixels(mask.alpha)])[: MAX_CLASSES + 1]
        opacity = _Opacity(frozenset(colors.tolist()), np.bincount(mask.alpha.ravel(), minlength=256))
    return _file_stats(with_transparency(mask, transparency)), opacity


def _transparency(opacities: Sequence[_Opacity]) -> Transparency:
    """How a dataset uses the opacity of its masks, from all files that have one."""
    if not opacities:
        return "background"
    colors = frozenset[int]().union(*(each.colors for each in opacities))
    pixels: NDArray[np.int64] = np.sum([each.pixels for each in opacities], axis=0)
    if not pixels[1:].any():
        return "dropped"  # all transparent: a band that was never filled
    levels = int((pixels >= COMMON * pixels.sum()).sum())
    one_color = len(colors) == 1 and np.count_nonzero(pixels) > 1
    return "class" if one_color and (levels > 2 or colors == {0}) else "background"


def _file_stats(mask: MaskFile) -> _FileStats:
    numbers = numbers_of(mask)
    if numbers is None:
        all_codes, all_solid = Counter[int](), Counter[int]()
        for rows in blocks(mask.bands.shape[:2]):
            all_codes.update(_count_codes(codes_of(mask, rows)))
        for rows in blocks(mask.bands.shape[:2], overlap=1):
            codes = codes_of(mask, rows)
            all_solid.update(_count_codes(_solid(codes, codes & 0xF8F8F8 if mask.lossy else codes)))
        return _FileStats("RGB", None, all_codes, all_solid, Counter(), {}, mask.lossy)
    table = np.arange(0, 0x1000000, 0x10101) if mask.table is None else mask.table

    def by_code(counted: Counter[int]) -> Counter[int]:
        counts: Counter[int] = Counter()
        for number, pixels in counted.items():
            counts[int(table[number])] += pixels
        return counts

    counts, solid = _count(numbers), _count(_solid(numbers, numbers & np.uint8(0xF8) if mask.lossy else numbers))
    code_of = {number: int(table[number]) for number in counts}
    ramps = _count(_ramps(numbers)) if len(counts) > 2 and mask.table is None else Counter[int]()
    return _FileStats(mask.mode, counts, by_code(counts), by_code(solid), by_code(ramps), code_of, mask.lossy)


def _count(numbers: NDArray[np.uint8]) -> Counter[int]:
    pixels = np.bincount(numbers.ravel(), minlength=256).tolist()
    return Counter({number: count for number, count in enumerate(pixels) if count})


def _solid(plane: NDArray[Plane], rounded: NDArray[Plane]) -> NDArray[Plane]:
    """The values, (N,), at the places where 2 x 2 pixels are equal once they are ``rounded`` (JPEG changes them)."""
    here = rounded[:-1, :-1]
    equal = (here == rounded[1:, :-1]) & (here == rounded[:-1, 1:]) & (here == rounded[1:, 1:])
    values: NDArray[Plane] = plane[:-1, :-1][equal]
    return values


def _ramps(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The values, (N,), of pixels between a lower and a higher one to their left and right, or above and below."""
    between = np.zeros(plane.shape, bool)
    for here, low, high, found in (
        (plane[:, 1:-1], plane[:, :-2], plane[:, 2:], between[:, 1:-1]),
        (plane[1:-1], plane[:-2], plane[2:], between[1:-1]),
    ):
        np.logical_or(found, ((low < here) & (here < high)) | ((low > here) & (here > high)), out=found)
    values: NDArray[np.uint8] = plane[between]
    return values


def _count_codes(codes: NDArray[np.int32]) -> Counter[int]:
    """Color code -> pixels. Masks are runs of equal pixels: sorting only the first of each run is much faster."""
    flat = codes.ravel()
    if not len(flat):
        return Counter()
    first = np.flatnonzero(np.diff(flat, prepend=flat[0] - 1))
    found, position = np.unique(flat[first], return_inverse=True)
    counts = np.bincount(position, np.diff(first, append=len(flat)))
    return Counter(dict(zip(found.tolist(), counts.astype(int).tolist(), strict=True)))
