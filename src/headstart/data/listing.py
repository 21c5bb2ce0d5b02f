"""CSV layouts: a table with the columns ``filename,label``, and perhaps ``split``, ``group`` and ``id``."""

from __future__ import annotations

import csv
from pathlib import Path

from headstart.data.index import SPLIT_OF, Entry, split_named, splits_named
from headstart.errors import HeadstartError

CsvRow = tuple[int, dict[str, str]]
"""(line number in the file, cells by column)"""


def read_rows(file: Path) -> tuple[list[str], list[CsvRow]]:
    """Header and rows of a CSV file (UTF-8, with or without a byte order mark); blank lines are left out."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.DictReader(text)
            header = list(reader.fieldnames or [])
            rows = [(reader.line_num, {k: v or "" for k, v in row.items() if k is not None}) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise HeadstartError(
            f"{file}: expected a CSV file in UTF-8, found: {error}", "headstart check --help"
        ) from None
    return header, rows


def require_column(file: Path, header: list[str], column: str) -> None:
    if column not in header:
        raise HeadstartError(
            f"{file}: expected a column {column}, found {', '.join(header) or 'an empty file'}",
            f"name the columns on the first line of {file.name}: filename,label",
        )


def csv_tables(path: Path) -> list[Path]:
    """The CSV files that describe the data at ``path``: the file itself, or those in the folder that are
    called like a split or have a ``filename`` column. ``classes.csv`` and its like describe something else.
    """
    if path.is_file():
        return [path] if path.suffix.lower() == ".csv" else []
    found = []
    for file in sorted(path.glob("*.csv")):
        header, _ = read_rows(file)
        unlabelled_test = split_named(file.stem) == "test" and "label" not in header
        if (split_named(file.stem) or "filename" in header) and not unlabelled_test:
            found.append(file)
    return found


def read_tables(root: Path, tables: list[Path]) -> tuple[list[Entry], list[tuple[str, str]]]:
    """Entries of all tables, and (kind, file) problems: files that are named but missing.

    Raises HeadstartError for a missing column, a duplicate row, an empty label or an unknown split.
    """
    entries: list[Entry] = []
    problems: list[tuple[str, str]] = []
    first_seen: dict[str, str] = {}
    split_of = splits_named(table.stem for table in tables)
    for table in tables:
        header, rows = read_rows(table)
        require_column(table, header, "filename")
        require_column(table, header, "label")
        for line, row in rows:
            where = f"{table} line {line}"
            name, label = row["filename"].strip(), row["label"].strip()
            if not name or not label:
                raise HeadstartError(f"{where}: expected a filename and a label, found {row}", f"mend {table}")
            split = _split_of(row, split_of[table.stem] or "", where, table)
            path = _locate(root, table, name)
            if path is None:
                problems.append(("missing", f"{name} (named in {table.name} line {line})"))
                continue
            if path in first_seen:
                raise HeadstartError(
                    f"{where}: expected each file once, found {name} again (first: {first_seen[path]})",
                    f"mend {table}",
                )
            first_seen[path] = f"{table.name} line {line}"
            entries.append((path, label, split, row.get("group", "").strip()))
    if not entries and not problems:
        raise HeadstartError(f"{tables[0]}: expected rows of images, found none", "headstart check --help")
    return entries, problems


def _split_of(row: dict[str, str], otherwise: str, where: str, table: Path) -> str:
    given = row.get("split", "").strip()
    if given and given.lower() not in SPLIT_OF:
        raise HeadstartError(f"{where}: expected a split (train, val or test), found {given}", f"mend {table}")
    return SPLIT_OF[given.lower()] if given else otherwise


def _locate(root: Path, table: Path, name: str) -> str | None:
    """Where the file of a row is, relative to ``root``: beside the table, in its split's folder, or in images/."""
    folders = ["", table.stem, "images"]
    for folder in folders:
        path = Path(folder, name)
        if (root / path).is_file():
            return path.as_posix()
    return None
