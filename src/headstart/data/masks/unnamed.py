"""Classes of masks that no file names: the numbers or colors in them, sharp ones or the peaks of blurred ones.

Smooth resizing and JPEG put colors between those of two classes at their edges. A class's own color also fills areas:
the colors that fill 2 x 2 pixels are the classes, if they are few, far apart, and nearly all pixels are near one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from headstart.data.masks.codec import is_corner, nearest_class
from headstart.data.masks.color_stats import MaskColorStats
from headstart.data.masks.mask_file import colors_of, hexadecimal
from headstart.errors import HeadstartError
from headstart.palette import IGNORE_INDEX, Color, Palette

MAX_UNNAMED_CLASSES = 40
"""More colors or numbers than this without a file that names them are blurred colors, instances, or no masks."""
PEAK_RADIUS = 12
"""Colors this near to a more common one are the same color, changed by JPEG."""
PEAK_SHARE = 1e-4
"""Smallest share of the pixels of a class in blurred masks; fewer are noise."""
PEAK_DISTANCE = 16
"""Classes in blurred masks that are nearer than this cannot be told apart."""
MIN_NEAR = 0.9
"""Smallest share of pixels near one of the peaks; with less, the masks are no masks."""
MOST_RAMPS = 0.8
"""Share of the pixels of thin numbers between a darker and a brighter neighbor, from which on they are soft edges."""
MIN_THIN = 6
"""Numbers or colors that fill no area, from which on they are soft edges, not thin objects."""


def unnamed_palette(root: Path, stats: MaskColorStats) -> Palette:
    """A palette of the numbers or colors in the masks, each class named after its number or color.

    Raises HeadstartError for masks of too many numbers or colors, and for blurred ones that cannot be read for sure.
    """
    peaks = find_peaks(stats)
    indexed = stats.mode == "P" and stats.numbers is not None
    many = len(stats.numbers if indexed and stats.numbers else stats.codes) > MAX_UNNAMED_CLASSES
    if len(stats.codes) == 1 or not (stats.lossy or many or _has_soft_edges(stats, peaks)):
        return _sharp(stats)
    if not is_separate(stats, peaks):
        peaks = _corners(stats)
    if not peaks:
        raise _refused(root, stats)
    gray = all(code % 0x10101 == 0 for code in peaks)
    if gray and stats.numbers is not None and stats.mode != "P":
        return number_palette(without_ignored([code & 255 for code in peaks]), stats, soft=True)
    return _color_palette(peaks, stats, soft=not is_corner(colors_of(np.array(peaks, np.int32))).all())


def find_peaks(stats: MaskColorStats) -> list[int]:
    """Color codes of the classes in blurred masks, sorted: colors that fill areas, apart from their variations.

    A peak near a corner of the RGB cube is that corner.
    """
    total = stats.codes.total()
    found: list[int] = []
    colors: list[np.ndarray] = []
    for code, count in stats.solid.most_common(50 * MAX_UNNAMED_CLASSES):
        if count < PEAK_SHARE * total or len(found) > MAX_UNNAMED_CLASSES:
            break
        color = colors_of(np.array([code], np.int32))[0]
        if all(((color - other) ** 2).sum() > PEAK_RADIUS**2 for other in colors):
            found.append(code)
            colors.append(color)
    corners = [np.where(color >= 128, 255, 0) for color in colors]
    snapped = [k if abs(k - c).max() <= PEAK_RADIUS else c for k, c in zip(corners, colors, strict=True)]
    return sorted({int(color @ np.array([65536, 256, 1])) for color in snapped})


def is_separate(stats: MaskColorStats, peaks: Sequence[int]) -> bool:
    """Whether each pixel of blurred masks belongs to a peak for sure, but for a few at the edges."""
    if not 2 <= len(peaks) <= MAX_UNNAMED_CLASSES:
        return False
    colors = colors_of(np.array(peaks, np.int32))
    distance = smallest_distance(peaks)
    if distance < PEAK_DISTANCE:
        return False
    codes = np.fromiter(stats.codes, np.int32, len(stats.codes))
    pixels = np.fromiter(stats.codes.values(), np.int64, len(stats.codes))
    if is_corner(colors).all() or (len(peaks) == 2 and all(code % 0x10101 == 0 for code in peaks)):
        # Thresholded at half; but most pixels must be in no doubt.
        near = abs(colors_of(codes)[:, None] - colors[None]).max(axis=2).min(axis=1) <= distance / 4
    else:
        near = nearest_class(colors_of(codes), _palette_of(peaks)) != IGNORE_INDEX
    return bool(pixels[near].sum() >= MIN_NEAR * pixels.sum())


def _corners(stats: MaskColorStats) -> list[int]:
    """Corners of the RGB cube, sorted, where nearly all pixels are near one (DeepGlobe's rule); else none."""
    total = stats.corners.total()
    found = sorted(code for code, count in stats.corners.items() if count > PEAK_SHARE * total)
    return found if len(found) > 1 and stats.far <= (1 - MIN_NEAR) / 2 * total else []


def smallest_distance(codes: Sequence[int]) -> int:
    """Smallest distance of two colors in their most different channel; 255 for fewer than two."""
    colors = colors_of(np.array(codes, np.int32))
    distances = abs(colors[:, None] - colors[None]).max(axis=2) + 255 * np.eye(len(codes), dtype=int)
    return int(distances.min(initial=255))


def without_ignored(values: Sequence[int]) -> list[int]:
    """Numbers of classes, sorted: without 255, which means "ignore" beside others, unless they are spread up to it."""
    numbers = sorted(values)
    others = [number for number in numbers if number != IGNORE_INDEX]
    step = IGNORE_INDEX / max(1, len(numbers) - 1)
    spread = all(abs(number - position * step) <= 1 for position, number in enumerate(numbers))
    return numbers if (spread and len(numbers) <= 9) or not others else others


def number_palette(values: Sequence[int], stats: MaskColorStats, soft: bool = False) -> Palette:
    """A palette of numbers, each class named after its number."""
    names = tuple(f"class {value}" for value in values)
    colors = display_colors(values, stats)
    return Palette(names, colors, tuple(values), "number", 0, stats.mode, stats.transparency, soft)


def display_colors(values: Sequence[int], stats: MaskColorStats) -> tuple[Color, ...]:
    """Display colors of numbers: those of indexed masks, else Pascal VOC's, without its black."""
    if stats.mode == "P" and all(value in stats.code_of for value in values):
        return colors_of_codes([stats.code_of[value] for value in values])
    return tuple(_voc(position + 1) for position in range(len(values)))


def _has_soft_edges(stats: MaskColorStats, peaks: Sequence[int]) -> bool:
    """Whether masks of few colors hold many that fill no area, between fewer that do."""
    thin = stats.codes.keys() - set(peaks)
    if not thin or not is_separate(stats, peaks):
        return False
    pixels = sum(stats.codes[code] for code in thin)
    if len(peaks) == 2 and len(thin) > 1 and sum(stats.ramps[code] for code in thin) > MOST_RAMPS * pixels:
        return True  # along straight edges, only a few numbers
    if len(thin) < MIN_THIN or len(thin) <= 2 * len(peaks):
        return False
    return sum(stats.solid[code] for code in thin) < 0.1 * pixels


def _sharp(stats: MaskColorStats) -> Palette:
    if stats.numbers is not None:
        return number_palette(without_ignored(list(stats.numbers)), stats)
    return _color_palette(sorted(stats.codes), stats)


def _color_palette(codes: Sequence[int], stats: MaskColorStats, soft: bool = False) -> Palette:
    names, values = tuple(hexadecimal(code) for code in codes), tuple(range(len(codes)))
    return Palette(names, colors_of_codes(codes), values, "color", 0, stats.mode, stats.transparency, soft)


def _palette_of(codes: Sequence[int]) -> Palette:
    return Palette(tuple(map(hexadecimal, codes)), colors_of_codes(codes), tuple(range(len(codes))), "color")


def colors_of_codes(codes: Sequence[int]) -> tuple[Color, ...]:
    """Color codes -> red, green, blue of each."""
    found = colors_of(np.array(codes, np.int32)).tolist()
    return tuple((int(red), int(green), int(blue)) for red, green, blue in found)


def _refused(root: Path, stats: MaskColorStats) -> HeadstartError:
    kind = "colors" if stats.numbers is None else "numbers"
    numbers = list(stats.numbers or ())
    listed = f"name the classes in {root / 'class_dict.csv'} (name,r,g,b)"
    if not stats.lossy and numbers:
        kind = f"numbers ({min(numbers)} to {max(numbers)}: instance numbers?)"
        listed = f"save class numbers, not a number for each object; or {listed} or {root / 'classes.txt'}"
    elif stats.lossy:
        kind += " (blurred by JPEG)"
        too_near = bool(numbers) and smallest_distance(find_peaks(stats)) < PEAK_DISTANCE
        listed = "save the masks as PNG from their originals" + f", or {listed}" * (not too_near)
    few = "a few colors or numbers"
    return HeadstartError(f"{root}: expected masks of {few}, found at least {len(stats.codes)} {kind}", listed)


def _voc(number: int) -> Color:
    """Color of a class in the devkit of Pascal VOC (Everingham et al. 2010): its bits in turn to red, green, blue."""
    channels = [0, 0, 0]
    for bit in range(8):
        for channel in range(3):
            channels[channel] |= (number >> (3 * bit + channel) & 1) << (7 - bit)
    return channels[0], channels[1], channels[2]
