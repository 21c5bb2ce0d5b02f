"""Which column of a table names the image, and which its label, split and group: by content first, then by name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from headstart.data.csv_files import CsvFile
from headstart.data.index import SPLIT_OF
from headstart.errors import HeadstartError

FILE_NAMES = (
    "filename", "file_name", "file", "files", "filenames", "filepath", "filepaths", "file_path", "path", "paths",
    "image", "images", "image_id", "imageid", "image_name", "image_path", "img", "img_path", "id", "id_code", "name",
)  # fmt: skip
LABEL_NAMES = (
    "label", "labels", "class", "classes", "class_name", "classname", "class_label", "target", "category", "categories",
    "species", "breed", "diagnosis", "dx", "ground_truth", "groundtruth", "label_name", "y", "variety", "genus", "kind",
    "type", "finding_labels", "class_id", "classid", "label_id",
)  # fmt: skip
MASK_NAMES = ("mask", "masks", "mask_path", "mask_file", "segmentation", "seg", "annotation", "gt", "label_path")
SPLIT_NAMES = ("split", "set", "data_set", "dataset", "subset", "partition", "phase", "usage")
FLAGS = {"is_valid": "val", "is_val": "val", "valid": "val", "is_validation": "val", "is_test": "test"}
"""Columns of true and false -> the split that true means."""
TRUTH = {
    "true": True,
    "1": True,
    "1.0": True,
    "yes": True,
    "false": False,
    "0": False,
    "0.0": False,
    "no": False,
    "": False,
}
GROUP_NAMES = (
    "group", "group_id", "patient", "patient_id", "patientid", "subject", "subject_id", "lesion_id", "video",
    "video_id",
)  # fmt: skip
ROLES = ("file", "label", "mask", "split", "group")
"""What a column can be called to be, in ``data.columns``."""
MAX_NUMBERS = 20
"""More different numbers than this are no classes, unless their column is called so: ages, counts, prices."""
SAMPLE = 200
"""Rows that a column is tried on."""


@dataclass(frozen=True)
class Columns:
    """The columns of a table."""

    file: str
    label: str | None = None
    mask: str | None = None
    split: str | None = None
    group: str | None = None
    one_hot: tuple[str, ...] = ()
    """Columns of 0 and 1 with exactly one 1 in each row, named after the classes."""
    label_is_named: bool = False
    """Whether the label's column has a usual name or was given, not only repeated values."""

    def label_of(self, row: dict[str, str]) -> str | None:
        """The label in a row; None without labels."""
        if self.one_hot:
            return next(name.strip() for name in self.one_hot if _number(row[name]) == 1)
        return None if self.label is None else row[self.label].strip()


def parse_columns(given: str | None) -> dict[str, str]:
    """``file=id,label=breed`` -> {file: id, label: breed}. Raises HeadstartError for an unknown role."""
    roles: dict[str, str] = {}
    for part in (given or "").split(","):
        role, equals, column = (word.strip() for word in part.partition("="))
        if part.strip() and (not equals or role not in ROLES or not column):
            raise HeadstartError(
                f"--columns (data.columns) {given}: expected {', '.join(ROLES)} with the names of columns, found"
                f" {part.strip()}",
                "--columns file=id,label=breed",
            )
        if part.strip():
            roles[role] = column
    return roles


def find_columns(table: CsvFile, names_image: Callable[[str], bool], given: dict[str, str]) -> Columns | None:
    """The columns of ``table``, or None if none of them names images. ``given``: role -> column.

    ``names_image`` says whether a cell names an image. Raises HeadstartError for a given column that the table lacks,
    for rows with several labels, for real numbers in the place of labels, and where the label's column is unclear.
    """
    for role, column in given.items():
        if column not in table.header:
            raise HeadstartError(
                f"{table.file}: expected a column {column} ({role}), found {', '.join(table.header)}",
                f"--columns {role}={table.header[0] if table.header else 'NAME'}",
            )
    files = [given["file"]] if "file" in given else _file_columns(table, names_image)
    if not files:
        return None
    masks = [name for name in files[1:] if _is_mask_name(name)]
    images = [name for name in files if name not in masks]
    columns = Columns(images[0], mask=given.get("mask") or next(iter(masks), None))
    columns = replace(
        columns,
        split=given.get("split") or _split_column(table, [name for name in table.header if name not in files]),
        group=given.get("group") or _named(table.header, GROUP_NAMES),
    )
    return columns if columns.mask and "label" not in given else _with_label(table, columns, files, given)


def split_of_cell(column: str, cell: str) -> str | None:
    """The split that a cell means, "" for an empty one, None if it means none."""
    word = cell.strip().casefold()
    if _plain(column) in FLAGS and word in TRUTH:
        return FLAGS[_plain(column)] if TRUTH[word] else "train"
    return "" if not word else SPLIT_OF.get(word)


def _file_columns(table: CsvFile, names_image: Callable[[str], bool]) -> list[str]:
    """Columns most of whose cells name images, usual names first."""
    shares: dict[str, float] = {}
    for name in table.header:
        cells = [cell for row in _sample(table) if (cell := row[name].strip())]
        found = sum(map(names_image, cells))
        if found > 0.5 * len(cells):
            shares[name] = found / len(cells)
    shares = {name: shares[name] for name in _without_labels(table, [*shares])}
    usual = {name: at for at, name in enumerate(FILE_NAMES)}
    return sorted(shares, key=lambda name: (usual.get(_plain(name), len(usual)), table.header.index(name)))


def _without_labels(table: CsvFile, names: Sequence[str]) -> list[str]:
    """Those of ``names`` that list files where others are labels: class 7 is no ``7.jpg`` though there is one.

    A file is listed once, a label many times; masks are told by their column's name.
    """
    masks = [name for name in names if _is_mask_name(name)]
    files = [name for name in names if name not in masks]
    called = [name for name in files if _plain(name) not in LABEL_NAMES] or files
    once = [name for name in called if len({row[name] for _, row in table.rows}) == len(table.rows)] or called
    return [name for name in names if name in once or name in masks]


def _is_mask_name(name: str) -> bool:
    return _plain(name) in MASK_NAMES or "mask" in _plain(name)


def _sample(table: CsvFile) -> list[dict[str, str]]:
    step = max(1, len(table.rows) // SAMPLE)
    return [row for _, row in table.rows[::step]]


def _split_column(table: CsvFile, header: Sequence[str]) -> str | None:
    for name in header:
        if _plain(name) in FLAGS and all(row[name].strip().casefold() in TRUTH for _, row in table.rows):
            return name
    named = _named(header, SPLIT_NAMES)
    if named is None or _plain(named) == "split":
        return named
    return named if all(split_of_cell(named, row[named]) is not None for _, row in table.rows) else None


def _with_label(table: CsvFile, columns: Columns, files: Sequence[str], given: dict[str, str]) -> Columns:
    used = {*files, columns.split, columns.group}
    rest = [name for name in table.header if name not in used and not re.fullmatch(r"(unnamed: )?\d*", _plain(name))]
    named = given.get("label") or _label_column(table, rest)
    if named is None and (hot := _one_hot(table, rest)):
        return replace(columns, one_hot=hot, label_is_named=True)
    label = named or _repeated(table, rest)
    if label is not None:
        require_one_label(table, label, [row[label].strip() for _, row in table.rows])
    return replace(columns, label=label, label_is_named=named is not None)


def _label_column(table: CsvFile, rest: Sequence[str]) -> str | None:
    """The column with a usual name. Of two that number and name the same classes, the names."""
    named = sorted((name for name in rest if _plain(name) in LABEL_NAMES), key=lambda n: LABEL_NAMES.index(_plain(n)))
    if len(named) > 1:
        pairs = {tuple(row[name] for name in named[:2]) for _, row in table.rows}
        values = [[pair[at] for pair in pairs] for at in (0, 1)]
        if len(pairs) == len(set(values[0])) == len(set(values[1])):
            return next((n for n, v in zip(named, values, strict=False) if not all(map(_is_number, v))), named[0])
        if _plain(named[0]) not in ("label", "class"):
            raise _which_column(table, named)
    return named[0] if named else None


def _one_hot(table: CsvFile, rest: Sequence[str]) -> tuple[str, ...]:
    """The columns of 0 and 1, if there are several. Raises HeadstartError for rows with several 1s, or none."""
    hot = (
        [name for name in rest if all(_number(row[name]) in (0, 1, -1) for _, row in table.rows)] if table.rows else []
    )
    if len(hot) < 2:
        return ()
    ones = Counter({line: sum(_number(row[name]) == 1 for name in hot) for line, row in table.rows})
    line, most = ones.most_common(1)[0]
    if most > 1:
        raise _several_labels(table, f"{most} columns of 1 in line {line} ({', '.join(hot[:4])}, ...)")
    if without := [line for line, count in ones.items() if count == 0]:
        raise HeadstartError(
            f"{table.file} line {without[0]}: expected a 1 in one of the columns {', '.join(hot[:6])}, found none"
            f" ({len(without)} such rows)",
            "add a column of 1s for these rows, or name the label's column: --columns file=...,label=...",
        )
    return tuple(hot)


def _repeated(table: CsvFile, rest: Sequence[str]) -> str | None:
    """The only column whose values repeat. Raises HeadstartError where there are several: one would be a guess."""
    found = []
    for name in rest:
        values = {row[name].strip() for _, row in table.rows}
        measured = _are_real(values) or (len(values) > MAX_NUMBERS and all(map(_is_number, values)))
        if 2 <= len(values) <= max(2, len(table.rows) // 2) and not measured:
            found.append(name)
    if len(found) > 1:
        raise _which_column(table, found)
    if not found and len(rest) == 1 and _are_real({row[rest[0]].strip() for _, row in table.rows}):
        require_one_label(table, rest[0], [row[rest[0]].strip() for _, row in table.rows])
    return found[0] if found else None


def _which_column(table: CsvFile, found: Sequence[str]) -> HeadstartError:
    return HeadstartError(
        f"{table.file}: expected one column of labels, found {', '.join(found[:5])}",
        f"--columns label={found[0]} (or data.columns)",
    )


def require_one_label(table: CsvFile, column: str, values: Sequence[str]) -> None:
    """Raise HeadstartError for a column of lists of labels, or of real numbers."""
    distinct = set(values) - {""}
    if _are_real(distinct):
        example = next(value for value in values if value and not _number(value).is_integer())
        raise HeadstartError(
            f"{table.file}: column {column}: expected classes, found real numbers (such as {example}): headstart"
            " classifies, it does not predict numbers",
            f"write ranges of {column} as classes (low, medium, high) into a column label",
        )
    if listed := _lists_of_labels(distinct):
        raise _several_labels(table, f"{listed} in column {column}")


def _several_labels(table: CsvFile, found: str) -> HeadstartError:
    return HeadstartError(
        f"{table.file}: expected one class per image, found several: {found}; headstart does not train multi-label"
        " classifiers",
        "keep the rows of one label, or choose one class and its complement: a column label of yes and no",
    )


def _lists_of_labels(distinct: set[str]) -> str | None:
    """An example of a value that lists several labels, or None."""
    if example := next((v for v in distinct if re.fullmatch(r"[\[({].*,.*[\])}]", v)), None):
        return example
    for separator in ("|", ";", ",", " "):
        parts = {v: [p.strip() for p in v.split(separator) if p.strip()] for v in distinct}
        several = {v: p for v, p in parts.items() if len(p) > 1}
        if not several:
            continue
        tokens = {token for some in parts.values() for token in some}
        alone = [
            all(t in distinct for t in p) if separator == " " else any(t in distinct for t in p)
            for p in several.values()
        ]
        lengths = {len(p) for p in parts.values()}
        # Labels that also stand alone, or few words in many combinations of different lengths.
        if (all(alone) if separator == " " else any(alone)) or (2 * len(tokens) < len(distinct) and len(lengths) > 2):
            return min(several)
    return None


def _are_real(values: Iterable[str]) -> bool:
    """Whether the values are numbers, some with a fraction, and not a few repeated ones."""
    numbers = [value for value in values if value]
    return len(numbers) > 2 and all(map(_is_number, numbers)) and any(not _number(v).is_integer() for v in numbers)


def _is_number(value: str) -> bool:
    return re.fullmatch(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*", value) is not None


def _number(value: str) -> float:
    """A number, or true and false as 1 and 0; not-a-number for other text."""
    word = value.strip().casefold()
    return float(word) if _is_number(word) else {"true": 1.0, "false": 0.0}.get(word, float("nan"))


def _named(header: Sequence[str], names: Sequence[str]) -> str | None:
    found = {_plain(name): name for name in reversed(header)}
    return next((found[name] for name in names if name in found), None)


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip().casefold())
