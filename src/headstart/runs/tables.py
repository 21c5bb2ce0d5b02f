"""Tables of a run, from the bytes of their CSV files: every row complete, numbers where numbers belong."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from headstart.errors import HeadstartError
from headstart.file_memory import memory_of_table, require_room
from headstart.files import Row, number

SPLITS = ("train", "val", "test")


def text_rows(content: bytes, path: Path, columns: Sequence[str], hint: str) -> list[dict[str, str]]:
    """Rows as text (a class may be called ``1e3``). Raises HeadstartError without ``columns``, or for a partial row."""
    found = "an empty file"
    try:
        text = content.decode("utf-8", "surrogateescape")
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        require_room(path, memory_of_table(text, ",", len(reader.fieldnames or ())), "a table", hint)
        rows = list(reader)
        header = reader.fieldnames or ()
    except csv.Error as error:
        header, found = (), f"no CSV ({error})"
    missing = [name for name in columns if name not in header]
    if missing and header:
        found = f"no column {missing[0]}"
    partial = [] if missing else [i for i, row in enumerate(rows) if None in row or None in row.values()]
    if partial:
        found = f"a row of another length in row {partial[0] + 1}"
    if missing or partial:
        raise HeadstartError(f"{path}: expected a table with {', '.join(columns)}, found {found}", hint)
    return rows


def metric_rows(content: bytes, path: Path, hint: str) -> list[Row]:
    """Rows of `metrics.csv`, empty cells dropped: ``epoch`` (from 0), ``split``, and numbers."""
    rows = []
    for row in text_rows(content, path, ("epoch", "split"), hint):
        parsed = {key: number(value) for key, value in row.items() if value != "" and key != "split"}
        wrong = next((value for value in parsed.values() if isinstance(value, str)), None)
        epoch = parsed.get("epoch")
        if not isinstance(epoch, int) or epoch < 0 or row["split"] not in SPLITS or wrong is not None:
            shown = (row["split"] if row["split"] not in SPLITS else str(epoch)) if wrong is None else wrong
            raise HeadstartError(f"{path}: expected an epoch, a split and numbers, found {shown[:80]!r}", hint)
        rows.append({key: row[key] if key == "split" else parsed[key] for key in row if row[key] != ""})
    return rows


def map_rows(content: bytes, path: Path, images: int, hint: str) -> list[Row]:
    """Rows of `analysis/maps.csv`: ``epoch`` (from 1), ``row`` of one of so many ``images``, and coordinates."""
    rows: list[Row] = []
    for row in text_rows(content, path, ("epoch", "row"), hint):
        parsed = {key: number(value) for key, value in row.items() if value != ""}
        place = parsed.get("row")
        if any(isinstance(value, str) for value in parsed.values()) or not isinstance(parsed.get("epoch"), int):
            raise HeadstartError(f"{path}: expected numbers, found {str(row)[:80]}", hint)
        if not isinstance(place, int) or not 0 <= place < images:
            raise HeadstartError(f"{path}: expected a row of the {images} in images.csv, found {str(place)[:80]}", hint)
        places = {key[:-2] for key in parsed if key.endswith(("_x", "_y"))}
        if any(f"{kind}_{axis}" not in parsed for kind in places for axis in "xy") or (
            rows and parsed.keys() != rows[0].keys()
        ):
            raise HeadstartError(f"{path}: expected x and y of each map in every row, found {str(row)[:80]}", hint)
        rows.append(parsed)
    return rows


def best_epoch(rows: Iterable[Mapping[str, Any]], metric: str, split: str = "val") -> int | None:
    """The first epoch with the lowest ``loss`` or the highest of any other metric; None without rows.

    ``metric`` may be a recipe's `checkpoint.monitor`: `val_loss`, `val_accuracy`, `val_miou`, or `last` for the last
    epoch.
    """
    if metric == "last":
        return max((int(row["epoch"]) for row in rows if row["split"] == split), default=None)
    metric = metric.removeprefix("val_")
    kept = [row for row in rows if row["split"] == split and metric in row]
    if not kept:
        return None
    sign = 1 if metric == "loss" else -1
    return int(min(kept, key=lambda row: (sign * row[metric], row["epoch"]))["epoch"])
