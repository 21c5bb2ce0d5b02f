"""Palettes of masks: read from class_dict.csv or classes.txt, or inferred from the colors in the masks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from headstart.data.csv_files import read_rows
from headstart.data.index import split_named
from headstart.data.masks.codec import MAX_CLASSES, colors_of, hexadecimal
from headstart.data.masks.color_stats import MaskColorStats, collect_color_stats
from headstart.errors import HeadstartError, did_you_mean
from headstart.palette import IGNORE_INDEX, Color, Palette

COLORS, NAMES = "class_dict.csv", "classes.txt"
"""Files that name the classes: with colors (name,r,g,b), or one name per line for the numbers 0, 1, 2, ..."""
IGNORED_NAMES = frozenset(["unknown", "unlabelled", "unlabeled", "void", "ignore", "ignored"])
"""Class names that are ignored by convention. Background is a class like any other."""
MASKS_SAMPLED = 8
"""Masks read where a file names the classes: enough to tell numbers from colors."""
MAX_UNNAMED_CLASSES = 40
"""More colors or numbers than this without a file that names them are blurred colors, or no masks."""


def read_palette(root: Path, masks: Sequence[Path], ignore: Iterable[str] = ()) -> Palette:
    """Read the palette of ``masks``, ignoring the classes in ``ignore`` (names or numbers) and `IGNORED_NAMES`.

    From class_dict.csv or classes.txt in ``root`` or beside the masks. Without such a file the classes are the colors
    or numbers in the masks, and every mask is read; unreadable ones are skipped. Raises HeadstartError for a malformed
    file of classes, and for masks of so many colors that they need one.
    """
    file = palette_file(root, masks)
    names, colors = _read(file) if file is not None else ((), ())
    stats = collect_color_stats(masks[:MASKS_SAMPLED] if len(names) > 2 else masks)
    if colors:
        palette = _from_colors(names, colors, stats)
    elif names and stats.numbers is not None:
        palette = _from_names(names, stats)
    else:
        palette = _from_stats(root, collect_color_stats(masks))
    if len(palette.names) > MAX_CLASSES:
        raise HeadstartError(
            f"{root}: expected at most {MAX_CLASSES} classes, found {len(palette.names)}", f"fix {file}"
        )
    return with_ignored(palette, ignore)


def palette_file(root: Path, masks: Sequence[Path]) -> Path | None:
    """The file that names the classes, or None: in ``root``, beside the masks, or beside a ``root`` called train."""
    above = [root.absolute().parent] if split_named(root.absolute().name) else []
    folders = dict.fromkeys((root, *(mask.parent for mask in masks), *above))
    return next((file for folder in folders for name in (COLORS, NAMES) if (file := folder / name).is_file()), None)


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
    )


def _matching_classes(palette: Palette, word: str) -> set[int]:
    """Positions of the classes that ``word`` of data.ignore_classes names, by name or by their number in the masks."""
    found = {i for i, name in enumerate(palette.names) if name.casefold() == word.strip().casefold()}
    if not found and word.strip().isdecimal():
        found = {i for i, value in enumerate(palette.values) if value == int(word)}
        if not found and palette.kind == "number" and int(word) == IGNORE_INDEX:
            return set()  # it is ignored anyway
    if not found:
        raise HeadstartError(
            f"data.ignore_classes {word}: expected a class of the masks, by name or number, found none;"
            f" {did_you_mean(word, palette.names)}",
            "data.ignore_classes=[] ignores " + (", ".join(palette.names[len(palette.classes) :]) or "none"),
        )
    return found


def _read(file: Path) -> tuple[tuple[str, ...], tuple[Color, ...]]:
    """Names of the classes, and their colors; no colors from classes.txt."""
    names, colors = _read_colors(file) if file.name == COLORS else (_read_names(file), [])
    _require_unique(file, names)
    if file.name == COLORS:
        _require_unique(file, [", ".join(map(str, color)) for color in colors])
    return tuple(names), tuple(colors)


def _read_colors(file: Path) -> tuple[list[str], list[Color]]:
    header, rows = read_rows(file)
    column = {name.strip().casefold(): name for name in header}
    if missing := [name for name in ("name", "r", "g", "b") if name not in column]:
        raise HeadstartError(
            f"{file}: expected the columns name,r,g,b, found {', '.join(header) or 'an empty file'}"
            f" (no {', '.join(missing)})",
            f"name the columns on the first line of {file.name}",
        )
    names: list[str] = []
    colors: list[Color] = []
    for line, row in rows:
        name, cells = row[column["name"]].strip(), [row[column[each]].strip() for each in "rgb"]
        if not name or not all(cell.isdecimal() and int(cell) < 256 for cell in cells):
            raise HeadstartError(
                f"{file} line {line}: expected a name and three numbers from 0 to 255, found"
                f" {', '.join([name or 'no name', *cells])}",
                f"fix {file}",
            )
        red, green, blue = map(int, cells)
        names.append(name)
        colors.append((red, green, blue))
    return names, colors


def _read_names(file: Path) -> list[str]:
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").rstrip().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise HeadstartError(f"{file}: expected a name per line in UTF-8, found: {error}", f"fix {file}") from None
    if not all(lines):
        raise HeadstartError(f"{file} line {lines.index('') + 1}: expected a name, found nothing", f"fix {file}")
    return lines


def _require_unique(file: Path, values: Sequence[str]) -> None:
    repeated = [value for value, count in Counter(values).items() if count > 1]
    if not values or repeated:
        found = f"{repeated[0]} twice" if repeated else "none"
        raise HeadstartError(f"{file}: expected distinct classes, found {found}", f"fix {file}")


def _from_colors(names: tuple[str, ...], colors: tuple[Color, ...], stats: MaskColorStats) -> Palette:
    """A palette of listed names and colors. Gray or indexed masks in other colors are read as row numbers instead."""
    listed = {red << 16 | green << 8 | blue for red, green, blue in colors}
    values = _values(len(names), stats)
    if stats.numbers and not listed >= stats.codes.keys() and {*values, IGNORE_INDEX} >= stats.numbers.keys():
        return Palette(names, colors, values, "number", mode=stats.mode)
    gray = all(red == green == blue for red, green, blue in colors)
    mode = "RGB" if stats.mode == "L" and not gray else stats.mode
    return Palette(names, colors, tuple(range(len(names))), "color", mode=mode)


def _from_names(names: tuple[str, ...], stats: MaskColorStats) -> Palette:
    values = _values(len(names), stats)
    return Palette(names, _display_colors(values, stats), values, "number", mode=stats.mode)


def _values(count: int, stats: MaskColorStats) -> tuple[int, ...]:
    """The numbers of the classes: 0, 1, 2, ...; for two classes 0 and 255 where masks hold no other number."""
    numbers = (stats.numbers or Counter()).keys()
    return (0, 255) if count == 2 and 255 in numbers and numbers <= {0, 255} else tuple(range(count))


def _from_stats(root: Path, stats: MaskColorStats) -> Palette:
    """A palette of the numbers or colors in the masks, each class named after its number or color."""
    numbers = stats.numbers
    blurred = stats.lossy or len(stats.codes) > MAX_UNNAMED_CLASSES
    if numbers is not None and not blurred:
        values = sorted(numbers if numbers.keys() <= {0, 255} else numbers.keys() - {IGNORE_INDEX})
        names = tuple(f"class {value}" for value in values)
        return Palette(names, _display_colors(values, stats), tuple(values), "number", mode=stats.mode)
    codes = stats.codes
    if blurred:
        if stats.far > 0.05 * stats.corners.total() or len(stats.corners) < 2:
            kind = "colors" if numbers is None else "numbers"
            raise HeadstartError(
                f"{root}: expected masks of a few colors or numbers, found at least {len(codes)} {kind}",
                f"name the classes in {root / COLORS} (name,r,g,b)" + f" or {root / NAMES}" * (numbers is not None),
            )
        total = stats.corners.total()
        codes = Counter({code: count for code, count in stats.corners.items() if count > 1e-4 * total})
    order = sorted(codes)
    names = tuple(hexadecimal(code) for code in order)
    found = colors_of(np.array(order, np.int32)).tolist()
    colors = tuple((int(red), int(green), int(blue)) for red, green, blue in found)
    return Palette(names, colors, tuple(range(len(order))), "color", mode=stats.mode)


def _display_colors(values: Sequence[int], stats: MaskColorStats) -> tuple[Color, ...]:
    """Display colors of numbers: those of indexed masks, else Pascal VOC's, without its black."""
    if stats.mode == "P" and all(value in stats.code_of for value in values):
        found = colors_of(np.array([stats.code_of[value] for value in values], np.int32))
        return tuple((int(red), int(green), int(blue)) for red, green, blue in found.tolist())
    return tuple(_voc(position + 1) for position in range(len(values)))


def _voc(number: int) -> Color:
    """Color of a class in the devkit of Pascal VOC (Everingham et al. 2010): its bits in turn to red, green, blue."""
    channels = [0, 0, 0]
    for bit in range(8):
        for channel in range(3):
            channels[channel] |= (number >> (3 * bit + channel) & 1) << (7 - bit)
    return channels[0], channels[1], channels[2]
