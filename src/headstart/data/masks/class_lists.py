"""Files that name the classes of masks: headstart's own, and those that annotation tools and data sets write.

| file | holds |
|---|---|
| ``class_dict.csv``, ``label_class_dict.csv``, ... | name and color (``r,g,b``, ``red,green,blue`` or ``color``), or name and number |
| ``_classes.csv`` (Roboflow) | ``Pixel Value, Class`` |
| ``classes.txt``, ``codes.txt`` (fastai), ... | a name per line for 0, 1, 2, ...; or ``0 sky``, ``0: sky``, ``0,sky`` |
| ``labelmap.txt`` (CVAT), ``label_colors.txt`` (CamVid) | ``sky:128,128,128::``; ``128 128 128 Sky`` |
| ``dataset.json`` (nnU-Net), ``obj_class_to_machine_color.json``, ``meta.json`` (Supervisely), ``notes.json`` | JSON |
"""  # noqa: E501

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart.data.formats import COMMON_SUFFIXES
from headstart.data.index import split_named
from headstart.environment import cache_folder
from headstart.errors import HeadstartError
from headstart.palette import Color

COLORS, NAMES = "class_dict.csv", "classes.txt"
"""headstart's own files that name the classes: with colors (name,r,g,b), or one name per line for 0, 1, 2, ..."""
TEXTS = (NAMES, "codes.txt", "class_names.txt", "labelmap.txt", "label_map.txt", "label_colors.txt", "labels.txt")
TABLES = ("class_dict.csv", "_classes.csv", "classes.csv", "class_names.csv", "class_colors.csv", "label_colors.csv")
CLASS_DICTS = r"(.*[_-])?class_dict([_-].*)?\.csv"
"""label_class_dict.csv, class_dict_seg.csv, ...; not class_dict.found.csv, which is still to be filled in."""
JSONS = ("obj_class_to_machine_color.json", "dataset.json", "meta.json", "notes.json", "classes.json", "label_map.json")
NAME_COLUMNS = ("name", "class", "class_name", "classname", "label", "label_name", "classes", "category")
NUMBER_COLUMNS = ("pixel value", "pixel_value", "value", "id", "class_id", "index", "number")
COLOR_COLUMNS = ("color", "colour", "rgb", "hex", "hex_color", "color_rgb")
MAX_BYTES = 1 << 20
"""A file of another tool that is larger is no list of classes."""
MAX_OWN_BYTES = 1 << 24
"""A larger file is read as no list at all."""
MAX_LINE = 300
"""Longest line with a name: the time to tell the forms of lines apart grows with the cube of their length."""
CHANNELS = (("r", "g", "b"), ("red", "green", "blue"))


@dataclass(frozen=True)
class ClassList:
    """Classes that a file names: with their colors, or their numbers."""

    names: tuple[str, ...]
    colors: tuple[Color, ...] = ()
    values: tuple[int, ...] = ()
    """The number of each class, where the file states it; else the classes are 0, 1, 2, ..."""
    own: bool = True
    """Whether it is headstart's own class_dict.csv or classes.txt, which names all classes and is taken at its word."""


def palette_file(root: Path, masks: Sequence[Path]) -> Path | None:
    """The file that names the classes, or None.

    Looked for beside masks that headstart drew in the cache, in ``root``, beside the masks, one folder above them, and
    beside a ``root`` called train; class_dict.csv first, then classes.txt, then other tools' files that hold classes.
    """
    top = root.absolute()
    above = [top.parent] if split_named(top.name) else []
    beside = list(dict.fromkeys(mask.parent for mask in masks))
    over = [folder.parent for folder in beside if folder.absolute() != top and top in folder.absolute().parents]
    drawn = [folder for folder in beside if folder.parent == cache_folder() / "masks"]
    folders = list(dict.fromkeys((*drawn, root, *beside, *over, *above)))
    for folder in folders:
        for name in (COLORS, NAMES):
            if (folder / name).is_file():
                return folder / name
    return next((file for folder in folders for file in _others(folder)), None)


def read_class_list(file: Path) -> ClassList:
    """Read a file that names classes. Raises HeadstartError for one that cannot be understood."""
    found = _parse(file)
    _require_unique(file, "name", found.names)
    _require_unique(file, "color", [", ".join(map(str, color)) for color in found.colors] or found.names)
    _require_unique(file, "number", [str(value) for value in found.values] or found.names)
    return found


def _others(folder: Path) -> Iterable[Path]:
    """Files of other tools in a folder that hold classes."""
    try:
        files = {file.name.casefold(): file for file in sorted(folder.iterdir())}
    except OSError:
        return
    tables = [name for name in files if name in TABLES or re.fullmatch(CLASS_DICTS, name)]
    for name in (*tables, *TEXTS, *JSONS):
        if name in files and files[name].is_file() and _holds_classes(files[name]):
            yield files[name]


def _holds_classes(file: Path) -> bool:
    """Whether a file of another tool names classes: others have the same name."""
    if file.stat().st_size > MAX_BYTES:
        return False
    try:
        found = read_class_list(file)
    except HeadstartError:
        # A list of colors with an error in it is still one: reading it says what is wrong.
        return re.fullmatch(CLASS_DICTS, file.name.casefold()) is not None
    return not any(Path(word).suffix.lower() in COMMON_SUFFIXES for name in found.names for word in name.split())


def _parse(file: Path) -> ClassList:
    name, text = file.name.casefold(), _text(file)
    own = name in (COLORS, NAMES)
    if name.endswith(".csv"):
        return _parse_table(file, text, own)
    if name.endswith(".json"):
        return _parse_json(file, text)
    return _parse_lines(file, text, own)


def _text(file: Path) -> str:
    content = b""
    try:
        if file.stat().st_size > MAX_OWN_BYTES:
            raise OSError(f"a file of {file.stat().st_size >> 20} MB")
        content = file.read_bytes()
        utf16 = content[:2] in (b"\xff\xfe", b"\xfe\xff")
        return content.decode("utf-16" if utf16 else "utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise HeadstartError(f"{file}: expected a name per line in UTF-8, found: {error}", f"fix {file}") from None


def _parse_table(file: Path, text: str, own: bool) -> ClassList:
    separator = max(",;\t", key=(text.splitlines() or [""])[0].count)
    try:
        table = list(csv.reader(text.splitlines(), delimiter=separator))
    except csv.Error as error:
        raise HeadstartError(f"{file}: expected a table, found: {error}", f"fix {file}") from None
    rows = [(n, [cell.strip() for cell in row]) for n, row in enumerate(table, 1)]
    rows = [(n, row) for n, row in rows if any(row)]
    header = rows[0][1] if rows else []
    if len(header) == 4 and all(cell.isdecimal() for cell in header[1:]):  # no header: sky,0,0,255
        header, rows = ["name", "r", "g", "b"], [(0, []), *rows]
    column = {name.strip().casefold(): place for place, name in enumerate(header)}
    name = next((column[each] for each in NAME_COLUMNS if each in column), None)
    channels = next(([column[c] for c in rgb] for rgb in CHANNELS if all(c in column for c in rgb)), None)
    color = next((column[each] for each in COLOR_COLUMNS if each in column), None)
    number = next((column[each] for each in NUMBER_COLUMNS if each in column), None)
    if name is None or (channels is None and color is None and number is None):
        missing = [each for each in ("name", "r", "g", "b") if each not in column]
        raise HeadstartError(
            f"{file}: expected the columns name,r,g,b, found {', '.join(header) or 'an empty file'}"
            f" (no {', '.join(missing)})",
            f"name the columns on the first line of {file.name}",
        )
    names, colors, values = [], [], []
    for line, row in rows[1:]:
        cells = row + [""] * (len(header) - len(row))
        names.append(cells[name])
        if channels is not None or color is not None:
            given = [cells[place] for place in channels] if channels is not None else [cells[color or 0]]
            colors.append(_color(file, line, cells[name], given))
        else:
            values.append(_number(file, line, cells[name], cells[number or 0]))
    return ClassList(tuple(names), tuple(colors), tuple(values), own)


def _color(file: Path, line: int, name: str, cells: Sequence[str]) -> Color:
    found = parse_color(" ".join(cells))
    if not name or found is None:
        raise HeadstartError(
            f"{file} line {line}: expected a name and three numbers from 0 to 255, found"
            f" {', '.join([name or 'no name', *cells])}",
            f"fix {file}",
        )
    return found


def parse_color(text: str) -> Color | None:
    """``#ff8000``, ``255 128 0`` or ``[255, 128, 0]`` -> (255, 128, 0); None for anything else."""
    if match := re.fullmatch(r"(?:#|0x)?([0-9a-fA-F]{6})", text.strip()):
        code = int(match.group(1), 16)
        return code >> 16, code >> 8 & 255, code & 255
    if re.fullmatch(r"[\[(]?\s*\d+(?:[\s,;]+\d+){2}\s*[\])]?", text.strip()):
        red, green, blue = (_small(part) for part in re.findall(r"\d+", text))
        return (red, green, blue) if max(red, green, blue) < 256 else None
    return None


def _small(digits: str) -> int:
    """A number of at most three digits; 256, which no mask holds, for a larger one: Python reads no very long ones."""
    return int(digits) if len(digits.lstrip("0")) <= 3 else 256


def _number(file: Path, line: int, name: str, cell: str) -> int:
    if not name or not cell.isdecimal() or _small(cell) > 255:
        raise HeadstartError(
            f"{file} line {line}: expected a name and a number from 0 to 255, found {name or 'no name'}, {cell}",
            f"fix {file}",
        )
    return int(cell)


def _parse_lines(file: Path, text: str, own: bool) -> ClassList:
    """``sky`` per line, ``0: sky``, CVAT's ``sky:0,0,255::`` or CamVid's ``0 0 255 Sky``; without CVAT's comments."""
    lines = [line.strip() for line in text.rstrip().splitlines()]
    if not own or file.name.casefold() != NAMES:
        lines = [line for line in lines if line and not line.startswith("#")]
    if not all(lines):
        raise HeadstartError(f"{file} line {lines.index('') + 1}: expected a name, found nothing", f"fix {file}")
    if long := [number for number, line in enumerate(lines, 1) if len(line) > MAX_LINE]:
        length = f"{len(lines[long[0] - 1]):,} characters"
        raise HeadstartError(f"{file} line {long[0]}: expected a name, found {length}", f"fix {file}")
    forms = {
        "cvat": r"(?P<name>.+?):\s*(?P<rgb>\d+\s*,\s*\d+\s*,\s*\d+)\s*(?::.*)?",
        "camvid": r"(?P<rgb>\d+\s+\d+\s+\d+)\s+(?P<name>.*\D.*)",
        "color": r"(?P<name>.*\D.*?)[\s,:]+(?P<rgb>\d+[\s,]+\d+[\s,]+\d+)",
        "numbered": r"(?P<number>\d+)\s*[:;=]\s*(?P<name>.+)",
        "numbered by space": r"(?P<number>\d+)[\s,]+(?P<name>.*\D.*)",
    }
    for form, pattern in forms.items():
        found = [re.fullmatch(pattern, line) for line in lines]
        if not lines or not all(found):
            continue
        matches = [match for match in found if match]
        names = tuple(match["name"].strip() for match in matches)
        if form.startswith("numbered"):
            values = tuple(_small(match["number"]) for match in matches)
            return ClassList(names, (), values if max(values) < 256 else (), own)
        colors = [_color(file, n, names[n - 1], [match["rgb"]]) for n, match in enumerate(matches, 1)]
        return ClassList(names, tuple(colors), (), own)
    return ClassList(tuple(lines), own=own)


def _parse_json(file: Path, text: str) -> ClassList:
    try:
        content = json.loads(text)
        found = _from_json(content)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        found = None
    if found is None or not found.names:
        raise HeadstartError(f"{file}: expected names of classes, found other JSON", f"fix {file}")
    return found


def _from_json(content: Any) -> ClassList | None:
    """nnU-Net's and Supervisely's files, ``{"categories": [{"id": 0, "name": "sky"}]}``, and plain maps and lists."""
    if isinstance(content, Mapping):
        for key in ("labels", "classes", "categories"):
            if key in content:
                return _from_json(content[key])
    if not content or not isinstance(content, Mapping | list):
        return None
    return _from_map(content) if isinstance(content, Mapping) else _from_list(content)


def _from_list(content: Sequence[Any]) -> ClassList:
    """``["sky", "road"]``, Supervisely's ``[{"title", "color"}]`` or ``[{"id", "name"}]``."""
    if all(isinstance(each, str) for each in content):
        return ClassList(tuple(content), own=False)
    names = [str(each.get("title") or each["name"]) for each in content]
    colors = [parse_color(str(each["color"])) for each in content if "color" in each and "name" not in each]
    if colors and all(colors) and len(colors) == len(names):
        return _with_background(names, [color for color in colors if color])
    return ClassList(tuple(names), (), tuple(int(each["id"]) for each in content), own=False)


def _from_map(content: Mapping[str, Any]) -> ClassList | None:
    """``{"sky": 0}``, ``{"0": "sky"}`` or ``{"sky": [0, 0, 255]}``."""
    if all(isinstance(value, list) and len(value) == 3 for value in content.values()):
        found = [parse_color(" ".join(map(str, value))) for value in content.values()]
        return _with_background(list(content), [color for color in found if color]) if all(found) else None
    if all(str(key).isdecimal() and isinstance(value, str) for key, value in content.items()):
        content = {name: int(number) for number, name in content.items()}
    numbers = {str(name): value for name, value in content.items() if isinstance(value, int)}  # not nnU-Net's regions
    if len(numbers) < len(content) and not any(isinstance(value, list) for value in content.values()):
        return None  # other things than numbers: no classes
    order = sorted(numbers, key=lambda name: numbers[name])
    values = tuple(numbers[name] for name in order)
    return ClassList(tuple(order), (), values, own=False) if all(0 <= value < 256 for value in values) else None


def _with_background(names: Sequence[str], colors: Sequence[Color]) -> ClassList:
    """Supervisely lists the classes of objects only: what is not painted is black."""
    if (0, 0, 0) in colors or "background" in names:
        return ClassList(tuple(names), tuple(colors), own=False)
    return ClassList(("background", *names), ((0, 0, 0), *colors), own=False)


def _require_unique(file: Path, what: str, values: Sequence[str]) -> None:
    repeated = [value for value, count in Counter(values).items() if count > 1]
    if not values or repeated or not all(values):
        found = f"{repeated[0]} twice" if repeated and repeated[0] else f"no {what}" if values else "none"
        raise HeadstartError(f"{file}: expected distinct classes, found {found}", f"fix {file}")
