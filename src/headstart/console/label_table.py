"""The labels to check for the terminal: a row per image, the most suspicious label first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from headstart.metrics.written import times

if TYPE_CHECKING:
    from headstart.runs.label_errors import LabelToCheck


def label_table(rows: Sequence[LabelToCheck]) -> Table:
    """A row per image: file, label, the class that is more probable, and how many times."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    for title in ("label", "rather", "times as\nprobable", "image"):
        table.add_column(title, justify="right" if "times" in title else "left", overflow="fold")
    for row in rows:
        texts = (row.label, row.predicted, times(row.times_as_probable), row.filename)
        table.add_row(*map(Text, texts))
    return table
