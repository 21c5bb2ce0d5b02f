"""The classes of a data set's masks: named by a file beside them, or found in the masks themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from headstart.data.csv_index import read_rows
from headstart.data.index import split_named
from headstart.data.masks.codec import MANY, colors_of, hexadecimal
from headstart.data.masks.color_stats import MaskColorStats, collect_color_stats
from headstart.errors import HeadstartError, did_you_mean
from headstart.palette import IGNORE_INDEX, Color, Palette

COLORS, NAMES = "class_dict.csv", "classes.txt"
"""The files that name classes: with their colors (name,r,g,b), or one name per line for the numbers 0, 1, 2, ..."""
IGNORED_NAMES = frozenset(["unknown", "unlabelled", "unlabeled", "void", "ignore", "ignored"])
"""Classes that are ignored by their name. Background is a class like others."""
SOME = 8
"""Masks that are looked at where a file names the classes: enough to see how they are written."""
FEW = 40
"""More colors or numbers than this, and nothing that names them: it is blurred, or not a mask."""


def read_palette(root: Path, masks: Sequence[Path], ignore: Iterable[str] = ()) -> Palette:
    """The classes of ``masks``, those named in ``ignore`` (by name or number) and the usual ones ignored.

    From class_dict.csv or classes.txt in ``root`` or beside the masks; else the colors or numbers that are seen, which
    takes a look at every mask. Of masks that cannot be read it has no classes. Raises HeadstartError for a file of
    classes that cannot be understood, and for masks of so many colors that they need one.
    """
    file = palette_file(root, masks)
    names, colors = _read(file) if file is not None else ((), ())
    seen = collect_color_stats(masks[:SOME] if len(names) > 2 else masks)
    if colors:
        palette = _from_colors(names, colors, seen)
    elif names and seen.numbers is not None:
        palette = _from_names(names, seen)
    else:
        palette = _found(root, collect_color_stats(masks))
    if len(palette.names) > MANY:
        raise HeadstartError(f"{root}: expected at most {MANY} classes, found {len(palette.names)}", f"fix {file}")
    return ignoring(palette, ignore)


def palette_file(root: Path, masks: Sequence[Path]) -> Path | None:
    """The file that names the classes: in ``root`` or a folder of masks, or beside a ``root`` called train; or None."""
    above = [root.absolute().parent] if split_named(root.absolute().name) else []
    folders = dict.fromkeys((root, *(mask.parent for mask in masks), *above))
    return next((file for folder in folders for name in (COLORS, NAMES) if (file := folder / name).is_file()), None)


def to_fill_in(palette: Palette) -> tuple[str, str]:
    """(name, text) of a file of the classes that were found, for the user to name: class_dict.csv or classes.txt."""
    if palette.kind == "number" and palette.values == tuple(range(len(palette.names))):
        return NAMES, "".join(f"{name}\n" for name in palette.names)
    gray = palette.kind == "number" and palette.mode != "P"
    colors = [(value,) * 3 for value in palette.values] if gray else palette.colors
    rows = (f"{name},{red},{green},{blue}\n" for name, (red, green, blue) in zip(palette.names, colors, strict=True))
    return COLORS, "name,r,g,b\n" + "".join(rows)


def ignoring(palette: Palette, ignore: Iterable[str]) -> Palette:
    """``palette`` with the classes ignored that ``ignore`` or `IGNORED` names, put after all others."""
    gone = {i for i, name in enumerate(palette.names) if name.strip().casefold() in IGNORED_NAMES}
    for word in ignore:
        gone |= _named(palette, word)
    order = sorted(range(len(palette.names)), key=lambda i: (i in gone, i))
    return Palette(
        names=tuple(palette.names[i] for i in order),
        colors=tuple(palette.colors[i] for i in order),
        values=tuple(palette.values[i] for i in order),
        kind=palette.kind,
        ignored=len(gone),
        mode=palette.mode,
    )


def _named(palette: Palette, word: str) -> set[int]:
    """The classes that a word of data.ignore_classes means: a name, or the number that masks write (else: of the row)."""
    found = {i for i, name in enumerate(palette.names) if name.casefold() == word.strip().casefold()}
    if not found and word.strip().isdecimal():
        found = {i for i, value in enumerate(palette.values) if value == int(word)}
        if not found and palette.kind == "number" and int(word) == IGNORE_INDEX:
            return set()  # it always is
    if not found:
        raise HeadstartError(
            f"data.ignore_classes {word}: expected a class of the masks, by name or number, found none;"
            f" {did_you_mean(word, palette.names)}",
            "data.ignore_classes=[] ignores " + (", ".join(palette.names[len(palette.classes) :]) or "none"),
        )
    return found


Listed = tuple[tuple[str, ...], tuple[Color, ...]]
"""Names of classes, and their colors: none where a file has but names."""


def _read(file: Path) -> Listed:
    names, colors = _read_colors(file) if file.name == COLORS else (_read_names(file), [])
    _require_different(file, names)
    if file.name == COLORS:
        _require_different(file, [", ".join(map(str, color)) for color in colors])
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


def _require_different(file: Path, values: Sequence[str]) -> None:
    twice = [value for value, count in Counter(values).items() if count > 1]
    if not values or twice:
        found = f"{twice[0]} twice" if twice else "none"
        raise HeadstartError(f"{file}: expected classes that differ, found {found}", f"fix {file}")


def _from_colors(names: tuple[str, ...], colors: tuple[Color, ...], seen: MaskColorStats) -> Palette:
    """Names and colors as listed. Gray or palette files in none of these colors are numbers: of the rows."""
    listed = {red << 16 | green << 8 | blue for red, green, blue in colors}
    values = _values(len(names), seen)
    if seen.numbers and not listed >= seen.codes.keys() and {*values, IGNORE_INDEX} >= seen.numbers.keys():
        return Palette(names, colors, values, "number", mode=seen.mode)
    gray = all(red == green == blue for red, green, blue in colors)
    mode = "RGB" if seen.mode == "L" and not gray else seen.mode
    return Palette(names, colors, tuple(range(len(names))), "color", mode=mode)


def _from_names(names: tuple[str, ...], seen: MaskColorStats) -> Palette:
    values = _values(len(names), seen)
    return Palette(names, _painted(values, seen), values, "number", mode=seen.mode)


def _values(count: int, seen: MaskColorStats) -> tuple[int, ...]:
    """0, 1, 2, ...; of two classes 0 and 255 where masks have no other number."""
    numbers = (seen.numbers or Counter()).keys()
    return (0, 255) if count == 2 and 255 in numbers and numbers <= {0, 255} else tuple(range(count))


def _found(root: Path, seen: MaskColorStats) -> Palette:
    """The numbers or colors that masks are of, named after themselves."""
    numbers = seen.numbers
    blurred = seen.lossy or len(seen.codes) > FEW
    if numbers is not None and not blurred:
        values = sorted(numbers if numbers.keys() <= {0, 255} else numbers.keys() - {IGNORE_INDEX})
        names = tuple(f"class {value}" for value in values)
        return Palette(names, _painted(values, seen), tuple(values), "number", mode=seen.mode)
    codes = seen.codes
    if blurred:
        if seen.far > 0.05 * seen.corners.total() or len(seen.corners) < 2:
            kind = "colors" if numbers is None else "numbers"
            raise HeadstartError(
                f"{root}: expected masks of a few colors or numbers, found at least {len(codes)} {kind}",
                f"name the classes in {root / COLORS} (name,r,g,b)" + f" or {root / NAMES}" * (numbers is not None),
            )
        total = seen.corners.total()
        codes = Counter({code: count for code, count in seen.corners.items() if count > 1e-4 * total})
    order = sorted(codes)
    names = tuple(hexadecimal(code) for code in order)
    found = colors_of(np.array(order, np.int32)).tolist()
    colors = tuple((int(red), int(green), int(blue)) for red, green, blue in found)
    return Palette(names, colors, tuple(range(len(order))), "color", mode=seen.mode)


def _painted(values: Sequence[int], seen: MaskColorStats) -> tuple[Color, ...]:
    """Colors to paint numbers in: a palette file's own, else those of Pascal VOC, without its black."""
    if seen.mode == "P" and all(value in seen.code_of for value in values):
        found = colors_of(np.array([seen.code_of[value] for value in values], np.int32))
        return tuple((int(red), int(green), int(blue)) for red, green, blue in found.tolist())
    return tuple(_voc(position + 1) for position in range(len(values)))


def _voc(number: int) -> Color:
    """Color of a class in the devkit of Pascal VOC (Everingham et al. 2010): its bits, shared out by threes."""
    channels = [0, 0, 0]
    for place in range(8):
        for channel in range(3):
            channels[channel] |= (number >> (3 * place + channel) & 1) << (7 - place)
    return channels[0], channels[1], channels[2]
