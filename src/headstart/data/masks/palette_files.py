"""Palettes of masks: read from a file that names the classes, or inferred from the colors in the masks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

from headstart.data.masks.class_lists import COLORS, NAMES, ClassList, palette_file, read_class_list
from headstart.data.masks.codec import MAX_CLASSES
from headstart.data.masks.color_stats import MaskColorStats, collect_color_stats
from headstart.data.masks.mask_file import hexadecimal
from headstart.data.masks.unnamed import (
    MAX_UNNAMED_CLASSES,
    PEAK_DISTANCE,
    colors_of_codes,
    display_colors,
    find_peaks,
    is_separate,
    smallest_distance,
    unnamed_palette,
    without_ignored,
)
from headstart.errors import HeadstartError, did_you_mean
from headstart.files import digits_to_int
from headstart.palette import IGNORE_INDEX, Palette

__all__ = ["COLORS", "NAMES", "palette_file", "palette_template", "read_palette", "with_ignored"]

IGNORED_NAMES = frozenset(["unknown", "unlabelled", "unlabeled", "void", "ignore", "ignored"])
"""Class names that are ignored by convention. Background is a class like any other."""
MASKS_SAMPLED = 8
"""Masks read where a file names the classes: enough to tell numbers from colors."""


def read_palette(root: Path, masks: Sequence[Path], ignore: Iterable[str] = ()) -> Palette:
    """Read the palette of ``masks``, ignoring the classes in ``ignore`` (names or numbers) and `IGNORED_NAMES`.

    From the file that `palette_file` finds. Without one the classes are the colors or numbers in the masks, and every
    mask is read; unreadable ones are skipped. Raises HeadstartError for a malformed file of classes, for masks of so
    many colors that they need one, and for blurred masks that cannot be read for sure.
    """
    file = palette_file(root, masks)
    listed = read_class_list(file) if file is not None else None
    if file is None or listed is None:
        palette = unnamed_palette(root, collect_color_stats(masks))
    else:
        palette = _named_palette(root, file, listed, masks)
    if len(palette.names) > MAX_CLASSES:
        raise HeadstartError(
            f"{root}: expected at most {MAX_CLASSES} classes, found {len(palette.names)}", f"fix {file}"
        )
    return with_ignored(palette, ignore)


def palette_template(palette: Palette) -> tuple[str, str]:
    """(file name, text) of a class_dict.csv or classes.txt with the inferred classes, for the user to name."""
    if palette.kind == "number" and palette.values == tuple(range(len(palette.names))):
        return NAMES, "".join(f"{name}\n" for name in palette.names)
    gray = palette.kind == "number" and palette.mode != "P"
    colors = [(value,) * 3 for value in palette.values] if gray else palette.colors
    rows = (f"{name},{red},{green},{blue}\n" for name, (red, green, blue) in zip(palette.names, colors, strict=True))
    return COLORS, "name,r,g,b\n" + "".join(rows)


def with_ignored(palette: Palette, ignore: Iterable[str]) -> Palette:
    """``palette`` with the classes in ``ignore`` and `IGNORED_NAMES` ignored and moved behind all others."""
    ignored = {i for i, name in enumerate(palette.names) if name.strip().casefold() in IGNORED_NAMES}
    for word in ignore:
        ignored |= _matching_classes(palette, word)
    order = sorted(range(len(palette.names)), key=lambda i: (i in ignored, i))
    return Palette(
        names=tuple(palette.names[i] for i in order),
        colors=tuple(palette.colors[i] for i in order),
        values=tuple(palette.values[i] for i in order),
        kind=palette.kind,
        ignored=len(ignored),
        mode=palette.mode,
        transparency=palette.transparency,
        soft=palette.soft,
    )


def _matching_classes(palette: Palette, word: str) -> set[int]:
    """Positions of the classes that ``word`` of data.ignore_classes names, by name or by their number in the masks."""
    found = {i for i, name in enumerate(palette.names) if name.casefold() == word.strip().casefold()}
    if not found and word.strip().isdecimal():
        found = {i for i, value in enumerate(palette.values) if value == digits_to_int(word.strip())}
        if not found and palette.kind == "number" and digits_to_int(word.strip()) == IGNORE_INDEX:
            return set()  # it is ignored anyway
    if not found:
        raise HeadstartError(
            f"data.ignore_classes {word}: expected a class of the masks, by name or number, found none;"
            f" {did_you_mean(word, palette.names)}",
            "data.ignore_classes=[] ignores " + (", ".join(palette.names[len(palette.classes) :]) or "none"),
        )
    return found


def _named_palette(root: Path, file: Path, listed: ClassList, masks: Sequence[Path]) -> Palette:
    """The palette of listed classes: in their colors, or in numbers."""
    sampled = masks[:MASKS_SAMPLED] if len(listed.names) > 2 else masks
    stats = collect_color_stats(sampled)
    if listed.colors and not (stats.numbers and _are_row_numbers(listed, stats)):
        return _listed_colors(root, file, listed, masks, stats)
    values = _listed_values(listed, stats)
    from_one = not listed.values and min(stats.numbers or [0]) > 0
    if from_one or not _covers(values, stats):  # does it fit otherwise? All masks tell
        stats = stats if len(sampled) == len(masks) else collect_color_stats(masks)
        values = _fitting_values(listed, stats)
    if stats.numbers is None:
        return unnamed_palette(root, stats)
    soft = not _covers(values, stats) and _is_soft(values, stats)
    if stats.lossy and not soft and not (_far_apart(values) and _covers(values, stats)):
        raise _blurred(root, file, f"numbers ({min(values)} to {max(values)})")
    names = listed.names
    if not listed.own:
        names, values = _with_unlisted(names, values, stats)
    colors = listed.colors if len(listed.colors) == len(names) else display_colors(values, stats)
    return Palette(names, colors, values, "number", 0, stats.mode, stats.transparency, soft)


def _listed_colors(root: Path, file: Path, listed: ClassList, masks: Sequence[Path], stats: MaskColorStats) -> Palette:
    codes = [red << 16 | green << 8 | blue for red, green, blue in listed.colors]
    if stats.lossy and smallest_distance(codes) < PEAK_DISTANCE and not set(codes) >= stats.codes.keys():
        raise _blurred(root, file, "colors")
    if not listed.own and not stats.lossy and not set(codes) >= stats.codes.keys():
        stats = collect_color_stats(masks)
        if not stats.codes.keys() & set(codes):
            return unnamed_palette(root, stats)  # the list of other masks
        listed = _with_unlisted_colors(listed, stats)
    gray = all(red == green == blue for red, green, blue in listed.colors)
    mode = "RGB" if stats.mode == "L" and not gray else stats.mode
    values = tuple(range(len(listed.names)))
    return Palette(listed.names, listed.colors, values, "color", mode=mode, transparency=stats.transparency)


def _blurred(root: Path, file: Path, what: str) -> HeadstartError:
    return HeadstartError(
        f"{root}: expected masks in the {what} of {file.name}, found JPEG files, which"
        " mix such near ones at every edge",
        "save the masks as PNG from their originals",
    )


def _are_row_numbers(listed: ClassList, stats: MaskColorStats) -> bool:
    """Whether gray or indexed masks hold the numbers of the listed rows, in other colors than the listed ones."""
    codes = {red << 16 | green << 8 | blue for red, green, blue in listed.colors}
    values = {*_values(len(listed.names), stats), IGNORE_INDEX}
    return not codes >= stats.codes.keys() and values >= (stats.numbers or Counter()).keys()


def _listed_values(listed: ClassList, stats: MaskColorStats) -> tuple[int, ...]:
    plain = listed.values in ((), tuple(range(len(listed.names))))
    return _values(len(listed.names), stats) if plain else listed.values


def _values(count: int, stats: MaskColorStats) -> tuple[int, ...]:
    """The numbers of the classes: 0, 1, 2, ...; for two classes 0 and 255 where masks hold no other number."""
    numbers = (stats.numbers or Counter()).keys()
    return (0, 255) if count == 2 and 255 in numbers and numbers <= {0, 255} else tuple(range(count))


def _covers(values: Sequence[int], stats: MaskColorStats) -> bool:
    """Whether masks of numbers hold none but these, and 255."""
    return stats.numbers is not None and {*values, IGNORE_INDEX} >= stats.numbers.keys()


def _far_apart(values: Sequence[int]) -> bool:
    """Whether JPEG leaves numbers apart."""
    return all(b - a >= PEAK_DISTANCE for a, b in pairwise(sorted(values)))


def _fitting_values(listed: ClassList, stats: MaskColorStats) -> tuple[int, ...]:
    """Numbers of the listed classes in masks that hold others: 1 to n, or as many, spread over the gray levels.

    The numbers as listed where that does not fit either: `check` counts the others.
    """
    as_listed = _listed_values(listed, stats)
    sharp = without_ignored(list(stats.numbers or ()))
    peaks = [code & 255 for code in find_peaks(stats) if code % 0x10101 == 0]
    count = len(listed.names)
    if not listed.values and sharp and sharp[0] > 0 and sharp[-1] == count:  # 0 in no mask
        return tuple(range(1, count + 1))
    for found in (sharp, without_ignored(peaks)):
        if len(found) == len(listed.names) > 1 and _far_apart(found) and found[0] == 0:
            return tuple(found)
    return as_listed


def _is_soft(values: Sequence[int], stats: MaskColorStats) -> bool:
    """Whether numbers between those of the classes are soft edges."""
    codes = sorted(value * 0x10101 for value in values)
    return stats.mode != "P" and set(codes) >= set(find_peaks(stats)) and is_separate(stats, codes)


def _with_unlisted_colors(listed: ClassList, stats: MaskColorStats) -> ClassList:
    """Listed classes, and behind them the colors that the file of another tool leaves out; not that of index 255."""
    border = {stats.code_of[IGNORE_INDEX]} if stats.mode == "P" and IGNORE_INDEX in stats.code_of else set()
    codes = {red << 16 | green << 8 | blue for red, green, blue in listed.colors}
    others = sorted(stats.codes.keys() - codes - border)
    if len(others) + len(codes) > MAX_UNNAMED_CLASSES:
        return listed
    names = (*listed.names, *map(hexadecimal, others))
    return ClassList(names, (*listed.colors, *colors_of_codes(others)), own=False)


def _with_unlisted(
    names: tuple[str, ...], values: tuple[int, ...], stats: MaskColorStats
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Listed classes, and behind them the numbers that the file of another tool leaves out."""
    others = sorted((stats.numbers or Counter()).keys() - {*values, IGNORE_INDEX})
    if len(others) + len(names) > MAX_UNNAMED_CLASSES or not others:
        return names, values
    return (*names, *(f"class {value}" for value in others)), (*values, *others)
