"""Tables of labels: which of the CSV files below a folder list its images, and what they say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from headstart.data.columns import Columns, find_columns, parse_columns, split_of_cell
from headstart.data.csv_files import CsvFile, read_csv, without_header
from headstart.data.index import Entry, Note, split_named, splits_named
from headstart.data.locate import Locator
from headstart.data.pair_index import pair_problems
from headstart.data.reading import Reading
from headstart.data.tree import Tree
from headstart.data.unused import Kind, Reason
from headstart.errors import HeadstartError, quoted
from headstart.runs.predictions import is_predictions_table

MAX_TABLES = 50
"""Tables that are looked into, the least deep ones first: a table per image holds something else than labels."""
MAX_LISTS = 10
"""Text files that are looked into."""
FORMS = re.compile(r"(sample|example)?[ _-]*submission|predictions?\b", re.IGNORECASE)
"""Tables to be filled in, and tables that a model filled in."""
NO_LABEL = frozenset(["nan", "null", "none", "n/a", "na", "?", "-"])
"""Cells that stand for a missing label in some programs, and may be a class in others."""


@dataclass(frozen=True)
class Table:
    """A table that lists images below the folder."""

    path: str
    """Relative to the root."""
    content: CsvFile
    columns: Columns

    @property
    def labeled(self) -> bool:
        """Whether it tells labels or masks."""
        return bool(self.columns.label or self.columns.one_hot or self.columns.mask)


@dataclass(frozen=True)
class Tables:
    """The tables below a folder."""

    labeled: tuple[Table, ...]
    unlabeled: tuple[Table, ...]
    """They list images without labels: a test set to predict."""
    unused: dict[str, Reason]
    """Table -> why it is not read."""
    unclear: dict[str, HeadstartError] = field(default_factory=dict)
    """Table that may have been meant -> what is wrong with it: raised where nothing else tells the labels."""


def find_tables(tree: Tree, columns: str | None = None, only: str | None = None) -> Tables:
    """Look into the tables of a folder, or into ``only`` one, a path relative to the root.

    ``columns`` is as `recipe.Data.columns`. Raises HeadstartError for a table of several labels per image, of real
    numbers, and for one whose given columns are not there.
    """
    locator, given = Locator(tree.root, tree.images), parse_columns(columns)
    paths = [only] if only else sorted(tree.tables, key=lambda path: (path.count("/"), path))
    unused = dict.fromkeys(paths[MAX_TABLES:], Reason(Kind.ORDINARY, "one of many tables"))
    tables: list[Table] = []
    unclear: dict[str, HeadstartError] = {}
    if only is None and not given:
        tables += _text_lists(tree, locator)
    for path in paths[:MAX_TABLES]:
        if only is None and (why := _form(PurePosixPath(path).stem)):
            unused[path] = Reason(Kind.ORDINARY, why)
            continue
        try:
            found = _read(tree.root / path, path, locator, given)
        except HeadstartError as error:
            if only or given:
                raise
            unclear[path] = error
            unused[path] = Reason(Kind.ORDINARY, error.message)
            continue
        if isinstance(found, Table):
            tables.append(found)
        else:
            unused[path] = Reason(Kind.ORDINARY, found)
            if meant := _meant(tree.root / path, found):
                unclear[path] = meant
    return Tables(
        tuple(table for table in tables if table.labeled),
        tuple(table for table in tables if not table.labeled),
        unused,
        unclear,
    )


def read_tables(root: Path, tables: Tables, tree: Tree) -> Reading:
    """The reading of labeled tables. Files that are listed but missing are among its problems.

    Raises HeadstartError for a repeated file, an empty filename or label, and an unknown split.
    """
    locator = Locator(root, tree.images)
    entries: list[Entry] = []
    problems: list[tuple[str, str]] = []
    first_row: dict[str, tuple[Table, int]] = {}
    split_of = _splits(tables.labeled)
    rows = 0
    for table in tables.labeled:
        _require_whole_rows(table.content)
        for line, row in table.content.rows:
            rows += 1
            entry, problem = _entry(table, line, row, split_of[table.path], locator)
            if entry is None:
                problems.append(problem)
                continue
            if entry.path in first_row:
                raise _again(table, line, entry.path, *first_row[entry.path])
            first_row[entry.path] = table, line
            entries.append(entry)
    if not entries and not problems:
        raise HeadstartError(
            f"{tables.labeled[0].content.file}: expected rows of images, found none", "headstart check --help"
        )
    problems += pair_problems(entries, ()) if any(entry.mask is not None for entry in entries) else []
    names = ", ".join(table.path for table in tables.labeled)
    return Reading(
        "pairs" if all(table.columns.mask for table in tables.labeled) else "table",
        f"CSV ({names})",
        tuple(_with_folder_splits(entries)),
        f"{len(entries):,} of {rows:,} rows of {names} name one of {len(tree.images):,} images",
        tuple(_notes(tables.labeled, entries)),
        tuple(problems),
        tuple(table.path for table in tables.labeled),
        tables.unused | _listed_for_prediction(tables, locator, set(first_row)),
    )


def _text_lists(tree: Tree, locator: Locator) -> list[Table]:
    """Text files of an image and its label in each line: ``train/1.jpg 3``."""
    texts = [path for path in tree.ordinary if path.lower().endswith(".txt") and path.count("/") <= 1][:MAX_LISTS]
    found = []
    for path in texts:
        try:
            table = _read(tree.root / path, path, locator, {})
        except HeadstartError:  # some other text
            continue
        if isinstance(table, Table) and table.labeled and len(table.content.header) > 1:
            found.append(table)
    return found


def _form(stem: str) -> str:
    if not FORMS.match(stem):
        return ""
    return "predictions, not labels" if stem.casefold().startswith("pred") else "a form for predictions, not labels"


def _read(file: Path, path: str, locator: Locator, given: dict[str, str]) -> Table | str:
    """The table in a file, or why it lists no labels of images."""
    content = read_csv(file)
    if is_predictions_table(content.header):
        return "predictions, not labels"

    def names_image(cell: str) -> bool:
        return bool(cell.strip()) and bool(locator.find(cell, path))

    if not given and any(map(names_image, content.header)):
        content = without_header(content)
    columns = find_columns(content, names_image, given)
    return "its columns name no image here" if columns is None else Table(path, content, columns)


def _meant(file: Path, why: str) -> HeadstartError | None:
    """The error of a table that is called as if it listed the labels, though it names no image; else None."""
    stem = file.stem.casefold()
    if why.startswith("its columns") and (split_named(stem) or stem in ("label", "labels", "annotations", "metadata")):
        header = ", ".join(read_csv(file).header) or "an empty file"
        return HeadstartError(
            f"{file}: expected a column that names images, found {header}: none of its cells is an image below"
            f" {file.parent}",
            "--columns file=NAME,label=NAME, or put the images beside the table",
        )
    return None


def _entry(
    table: Table, line: int, row: dict[str, str], split: str, locator: Locator
) -> tuple[Entry | None, tuple[str, str]]:
    """The image of one row, or its problem."""
    columns, where = table.columns, f"{table.content.file} line {line}"
    name, label = row[columns.file].strip(), columns.label_of(row)
    if not name or label == "":
        raise HeadstartError(f"{where}: expected a filename and a label, found {row}", f"fix {table.content.file}")
    if columns.split is not None:
        cell = row[columns.split]
        own = split_of_cell(columns.split, cell)
        if own is None:
            raise HeadstartError(
                f"{where}: expected a split (train, val or test), found {cell.strip()}", f"fix {table.content.file}"
            )
        split = own or split
    mask = None
    if columns.mask is not None:
        mask = next(iter(locator.find(row[columns.mask], table.path)), "")
    found = locator.find(name, table.path)
    if len(found) != 1:
        kind = "missing" if not found else "ambiguous"
        more = f", which may be {' or '.join(found[:2])}" if found else ""
        return None, (kind, f"{name} (listed in {table.path} line {line}{more})")
    group = row[columns.group].strip() if columns.group else ""
    return Entry(found[0], None if mask is not None else label, split, group, mask), ("", "")


def _again(table: Table, line: int, path: str, first: Table, first_line: int) -> HeadstartError:
    hint = f"fix {table.content.file}"
    if first is not table:
        hint = f"to read one of the tables alone: headstart check {quoted(first.content.file)}"
    return HeadstartError(
        f"{table.content.file} line {line}: expected each file once, found {path} again (first: {first.path} line"
        f" {first_line})",
        hint,
    )


def _require_whole_rows(content: CsvFile) -> None:
    if content.overflow:
        raise HeadstartError(
            f"{content.file} line {content.overflow[0]}: expected {len(content.header)} cells"
            f" ({', '.join(content.header)}), found more ({len(content.overflow)} such rows): a label with a comma?",
            f'put labels with a comma in quotes in {content.file.name}: "hat, red"',
        )


def _splits(tables: Sequence[Table]) -> dict[str, str]:
    """Table -> the split that it, or the folder it lies in, is named after; "" for none."""
    by_stem = splits_named(PurePosixPath(table.path).stem for table in tables)
    by_folder = splits_named(folder for table in tables for folder in PurePosixPath(table.path).parts[:-1])
    found = {}
    for table in tables:
        path = PurePosixPath(table.path)
        own = [by_stem[path.stem], *(by_folder[folder] for folder in path.parts[:-1])]
        found[table.path] = next((split for split in own if split), "")
    # One table called train.csv may list all images.
    return found if len(tables) > 1 or "train" not in found.values() else dict.fromkeys(found, "train")


def _with_folder_splits(entries: list[Entry]) -> list[Entry]:
    """Splits by the folders of the images, where the tables tell none and all folders are named after splits."""
    if any(entry.split for entry in entries):
        return entries
    tops = {entry.path.split("/")[0] for entry in entries if "/" in entry.path}
    split_of = splits_named(tops)
    if len({*split_of.values()}) < 2 or None in split_of.values() or any("/" not in entry.path for entry in entries):
        return entries
    return [entry._replace(split=split_of[entry.path.split("/")[0]] or "") for entry in entries]


def _notes(tables: Sequence[Table], entries: Sequence[Entry]) -> list[Note]:
    notes = []
    for table in tables:
        columns = table.columns
        parts = [f"images from column {columns.file}"]
        parts += [f"labels from column {columns.label}"] if columns.label else []
        parts += [f"labels from {len(columns.one_hot)} columns of 0 and 1"] if columns.one_hot else []
        parts += [f"masks from column {columns.mask}"] if columns.mask else []
        parts += [f"splits from column {columns.split}"] if columns.split else []
        parts += [f"groups from column {columns.group}"] if columns.group else []
        parts += [f"saved with {table.content.dialect}"] if table.content.dialect else []
        usual = (columns.file, columns.label, columns.mask) == ("filename", "label", None)
        if not usual or columns.group or table.content.dialect:
            message = f"{table.path}: {', '.join(parts)}"
            notes.append(Note("table", "note", message, (table.path,), "others: --columns file=NAME,label=NAME"))
    missing = [entry for entry in entries if (entry.label or "").casefold() in NO_LABEL]
    if missing:
        message = f'{len(missing)} images with the label "{missing[0].label}": read as a class of that name'
        files = tuple(entry.path for entry in missing)
        notes.append(Note("no label?", "warning", message, files, "delete their rows if they have no label"))
    return notes


def _listed_for_prediction(tables: Tables, locator: Locator, used: set[str]) -> dict[str, Reason]:
    """Images that a table without labels lists, and that table."""
    unused = {}
    for table in tables.unlabeled:
        unused[table.path] = Reason(Kind.ORDINARY, "lists images without labels")
        why = Reason(Kind.WAITING, f"listed without a label in {table.path}")
        for _, row in table.content.rows:
            found = locator.find(row[table.columns.file], table.path)
            unused |= {path: why for path in found if path not in used}
    return unused


def only_labels(tables: Tables, named: bool) -> Tables:
    """The labeled tables, with ``named`` only those whose label's column has a usual name; the others unused."""
    kept = tuple(t for t in tables.labeled if not named or t.columns.label_is_named or t.columns.mask)
    why = Reason(Kind.ORDINARY, "no column of a usual name for labels")
    left = {t.path: why for t in tables.labeled if t not in kept}
    return replace(tables, labeled=kept, unused=tables.unused | left)
