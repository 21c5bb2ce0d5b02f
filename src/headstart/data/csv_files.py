"""Read a CSV file in whatever dialect it was saved: separator, encoding and byte order mark are found out."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from headstart.errors import HeadstartError, quoted
from headstart.file_memory import memory_of_table, require_room

CsvRow = tuple[int, dict[str, str]]
"""(line number in the file, cells by column)"""

COLUMNS = ("filename", "label", "split", "group")
"""Columns whose names are recognized in any case and with spaces around them."""
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
SPACES = " "
"""Cells that any number of spaces or tabs separate, without quotes: lists such as ``images/1.jpg 3``."""
MAX_BYTES = 2**29
"""Larger tables are refused: a row for each image takes some hundred bytes."""
SMALLER = "keep the rows and columns of the images alone"
"""What helps: a hint."""
SAMPLE_LINES = 30
"""Lines that the separator is told by."""


@dataclass(frozen=True)
class CsvFile:
    """A table with a header, and how it was saved."""

    file: Path
    header: list[str]
    rows: list[CsvRow]
    """Without blank lines."""
    dialect: str = ""
    """What is unusual about it, in words (``semicolons, UTF-16``); empty for commas and UTF-8."""
    overflow: tuple[int, ...] = ()
    """Line numbers of rows with more cells than the header has."""


def read_rows(file: Path) -> tuple[list[str], list[CsvRow]]:
    """Header and rows of a CSV file, without blank lines. Raises HeadstartError as `read_csv` does."""
    table = read_csv(file)
    return table.header, table.rows


def read_csv(file: Path) -> CsvFile:
    """Read a CSV file. Raises HeadstartError for a file that is too large or no table."""
    text, encoding = _decode(file)
    first, _, rest = text.partition("\n")
    if named := _separator_line(first):  # Excel's "sep=;"
        text = rest
    separator = named or ("\t" if file.suffix.lower() == ".tsv" else _sniff(text))
    if separator == SPACES:
        text = "\n".join(SPACES.join(line.split()) for line in text.splitlines())
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        header = _normalize_header(next(reader, []))
        require_room(file, memory_of_table(text, separator, len(header)), "a table", SMALLER)
        rows, overflow = [], []
        for cells in reader:
            if not cells:
                continue
            if any(cell.strip() for cell in cells[len(header) :]):
                overflow.append(reader.line_num)
            filled = cells + [""] * (len(header) - len(cells))
            rows.append((reader.line_num + bool(named), dict(zip(header, filled, strict=False))))
    except csv.Error as error:
        raise HeadstartError(f"{file}: expected a CSV file, found: {error}", "headstart check --help") from None
    usual = separator == "," or file.suffix.lower() == ".tsv"
    words = [SEPARATORS.get(separator, "spaces")] * (not usual) + [encoding] * bool(encoding)
    return CsvFile(file, header, rows, ", ".join(words), tuple(overflow))


def without_header(table: CsvFile) -> CsvFile:
    """``table`` with its first line as a row, and columns named ``column 1``, ``column 2``, ..."""
    names = [f"column {number}" for number in range(1, len(table.header) + 1)]
    rows = [(line, dict(zip(names, row.values(), strict=True))) for line, row in table.rows]
    return CsvFile(
        table.file, names, [(1, dict(zip(names, table.header, strict=True))), *rows], table.dialect, table.overflow
    )


def require_column(file: Path, header: Sequence[str], column: str) -> None:
    """Raise HeadstartError where ``header`` lacks a column."""
    if column not in header:
        raise HeadstartError(
            f"{file}: expected a column {column}, found {', '.join(header) or 'an empty file'}",
            f"name the columns on the first line of {file.name}: filename,label",
        )


def _decode(file: Path) -> tuple[str, str]:
    """Text of a file, and its encoding unless it is UTF-8."""
    try:
        if file.stat().st_size > MAX_BYTES:
            raise HeadstartError(
                f"{file}: expected a table of at most {MAX_BYTES >> 20} MB, found {file.stat().st_size >> 20} MB",
                SMALLER,
            )
        require_room(file, 7 * file.stat().st_size, "a table", SMALLER)  # its bytes, its text, and 4 per character
        content = file.read_bytes()
    except OSError as error:
        found = "no such file" if isinstance(error, FileNotFoundError) else f"none to read ({error.strerror})"
        raise HeadstartError(f"{file}: expected a CSV file, found {found}", f"ls {quoted(file.parent)}") from None
    try:
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return content.decode("utf-16"), "UTF-16"
        return content.decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        # Windows writes its own code page; every byte of Latin-1 is a character.
        return content.decode("latin-1"), "Latin-1"


def _separator_line(line: str) -> str | None:
    word = line.strip().strip('"').lower()
    return word[4] if word.startswith("sep=") and len(word) == 5 and word[4] in SEPARATORS else None


def _sniff(text: str) -> str:
    """The separator that cuts the first lines into the same number of cells, the most of them; else the comma."""
    lines = [line for line in text.splitlines()[:SAMPLE_LINES] if line.strip()]
    best, most = ",", 1
    for separator in SEPARATORS:
        try:
            counts = [len(cells) for cells in csv.reader(lines, delimiter=separator)]
        except csv.Error:  # a cell too long for one: the reading says so if no other separator fits
            continue
        header = counts[0] if counts else 0
        if header > most and all(count == header for count in counts):
            best, most = separator, header
    spaced = [len(line.split()) for line in lines]
    return SPACES if most == 1 and len(set(spaced)) == 1 and spaced[0] > 1 else best


def _normalize_header(header: Sequence[str]) -> list[str]:
    """``Filename, Label`` -> filename, label; a repeated or empty name gets its position."""
    plain = [name.strip().casefold() for name in header]
    names = [p if p in COLUMNS and p not in header else name.strip() for name, p in zip(header, plain, strict=True)]
    return [name if name and names.index(name) == at else f"{name} {at + 1}".strip() for at, name in enumerate(names)]
