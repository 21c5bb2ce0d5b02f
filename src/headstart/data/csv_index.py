"""CSV layouts: tables with the columns ``filename,label`` and optionally ``split``, ``group`` and ``id``."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from headstart.data.index import SPLIT_OF, Entry, split_named, splits_named
from headstart.errors import HeadstartError

CsvRow = tuple[int, dict[str, str]]
"""(line number in the file, cells by column)"""

COLUMNS = ("filename", "label", "split", "group")
"""Recognized columns, in any case and with spaces around them."""
SEPARATORS = {";": "semicolons", "\t": "tabs"}
"""Separators that some programs write instead of commas."""


def read_rows(file: Path) -> tuple[list[str], list[CsvRow]]:
    """Header and rows of a CSV file (UTF-8, with or without a byte order mark), without blank lines."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.DictReader(text)
            header = reader.fieldnames = _normalize_header(reader.fieldnames or [])
            rows = [(reader.line_num, {k: v or "" for k, v in row.items() if k is not None}) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise HeadstartError(
            f"{file}: expected a CSV file in UTF-8, found: {error}", "headstart check --help"
        ) from None
    return header, rows


def _normalize_header(header: Sequence[str]) -> list[str]:
    """``Filename, Label`` -> filename, label; other columns stay as they are."""
    plain = [name.strip().casefold() for name in header]
    return [p if p in COLUMNS and p not in header else name for name, p in zip(header, plain, strict=True)]


def require_column(file: Path, header: list[str], column: str) -> None:
    """Raise HeadstartError, naming a wrong separator, where ``header`` lacks a column."""
    if column in header:
        return
    found = ", ".join(header) or "an empty file"
    for separator, name in SEPARATORS.items():
        if column in _split_cells(header, separator):
            raise HeadstartError(
                f"{file}: expected columns separated by commas, found {found} (separated by {name})",
                f"save {file.name} with commas: filename,label",
            )
    raise HeadstartError(
        f"{file}: expected a column {column}, found {found}",
        f"name the columns on the first line of {file.name}: filename,label",
    )


def _split_cells(header: Iterable[str], separators: str) -> set[str]:
    return {name.strip().casefold() for cell in header for name in re.split(f"[{separators}]", cell)}


def csv_tables(path: Path) -> list[Path]:
    """CSV files that list the images of ``path``.

    That is the file itself, or the files in the folder that have a column ``filename`` or ``label`` or are named
    ``labels.csv``, and beside such a ``train.csv`` its ``val.csv``. Other files (``train_log.csv``, ``classes.csv``)
    are left alone.
    """
    if path.is_file():
        return [path] if path.suffix.lower() == ".csv" else []
    described = {file: columns for file, columns in _candidates(path).items() if _describes_images(file, columns)}
    split_of = splits_named(file.stem for file in described)
    return sorted({*described, *(split_tables(path) if any(split_of.values()) else ())})


def split_tables(path: Path) -> list[Path]:
    """CSV files in a folder that are named after a split, whatever their columns."""
    return [file for file in _candidates(path) if split_named(file.stem)] if path.is_dir() else []


def files_to_predict(folder: Path) -> set[str]:
    """Files, relative to ``folder``, that its unlabeled test CSV files list."""
    named = ((file, row) for file in _unlabeled_test_files(_csv_files(folder)) for _, row in read_rows(file)[1])
    return {path for file, row in named if (path := _locate(folder, file, row.get("filename", "").strip()))}


def _candidates(folder: Path) -> dict[Path, set[str]]:
    """CSV files that may list labeled images, with their columns: all but unlabeled test files."""
    files = _csv_files(folder)
    return {file: columns for file, columns in files.items() if file not in _unlabeled_test_files(files)}


def _unlabeled_test_files(files: Mapping[Path, set[str]]) -> list[Path]:
    split_of = splits_named(file.stem for file in files)
    return [file for file, columns in files.items() if split_of[file.stem] == "test" and "label" not in columns]


def _csv_files(folder: Path) -> dict[Path, set[str]]:
    files = [file for file in sorted(folder.iterdir()) if file.suffix.lower() == ".csv" and file.is_file()]
    return {file: _columns(file) for file in files if not file.name.startswith(".")}


def _describes_images(file: Path, columns: set[str]) -> bool:
    stem = file.stem.casefold()
    # A column label in classes.csv or class_dict.csv names classes, not the labels of images.
    return "filename" in columns or stem in ("label", "labels") or ("label" in columns and not stem.startswith("class"))


def _columns(file: Path) -> set[str]:
    """Columns of a CSV file, whatever the separator; none if it cannot be read, as it may be unrelated."""
    try:
        with file.open(encoding="utf-8-sig", errors="replace", newline="") as text:
            return _split_cells(next(csv.reader(text), []), "".join(SEPARATORS))
    except (OSError, csv.Error):
        return set()


def read_tables(root: Path, tables: list[Path]) -> tuple[list[Entry], list[tuple[str, str]]]:
    """Entries of all tables, and (kind, file) problems: files that are listed but missing.

    Raises HeadstartError for a missing column, a duplicate row, an empty filename or label, or an unknown split.
    """
    entries: list[Entry] = []
    problems: list[tuple[str, str]] = []
    first_row: dict[str, str] = {}
    split_of = splits_named(table.stem for table in tables)
    for table in tables:
        header, rows = read_rows(table)
        require_column(table, header, "filename")
        require_column(table, header, "label")
        for line, row in rows:
            where = f"{table} line {line}"
            name, label = row["filename"].strip(), row["label"].strip()
            if not name or not label:
                raise HeadstartError(f"{where}: expected a filename and a label, found {row}", f"fix {table}")
            split = _split_of(row, split_of[table.stem] or "", where, table)
            path = _locate(root, table, name)
            if path is None:
                problems.append(("missing", f"{name} (listed in {table.name} line {line})"))
                continue
            if path in first_row:
                raise HeadstartError(
                    f"{where}: expected each file once, found {name} again (first: {first_row[path]})",
                    f"fix {table}",
                )
            first_row[path] = f"{table.name} line {line}"
            entries.append(Entry(path, label, split, row.get("group", "").strip()))
    if not entries and not problems:
        raise HeadstartError(f"{tables[0]}: expected rows of images, found none", "headstart check --help")
    return entries, problems


def _split_of(row: dict[str, str], default: str, where: str, table: Path) -> str:
    given = row.get("split", "").strip()
    if given and given.lower() not in SPLIT_OF:
        raise HeadstartError(f"{where}: expected a split (train, val or test), found {given}", f"fix {table}")
    return SPLIT_OF[given.lower()] if given else default


def _locate(root: Path, table: Path, name: str) -> str | None:
    """Path of a listed file relative to ``root``: beside the table, in a folder of the table's name, or in images/."""
    folders = ["", table.stem, "images"]
    for folder in folders:
        path = Path(folder, name)
        if (root / path).is_file():
            return path.as_posix()
    return None
