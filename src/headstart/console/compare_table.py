"""The table of compared runs for the terminal, in 80 columns: a row for each, those that none beats first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from headstart.comparison.run_comparison import RunComparison
    from headstart.metrics.bootstrap import Interval


def compare_table(comparison: RunComparison) -> Table:
    """Score with half of its 95 % interval after ±, the paired difference to the first run, and what it changes."""
    from headstart.comparison.answer import brief

    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    heading = comparison.shared.metric.title
    for title in ("run", heading, "Δ vs first\n(95 % CI)", "mends", "breaks", "seeds", "training"):
        table.add_column(title, justify="left" if title == "run" else "right", no_wrap=title != "run", overflow="fold")
    kept = comparison.candidates
    for number, entry in enumerate(comparison.entries):
        cells = ["", "", ""]
        if number:
            gap, changes = comparison.difference(0, number), comparison.changes(0, number)
            sign = "" if gap.significant else " n.s."
            cells = [f"{_with_ci(gap.interval, '+')}{sign}", f"{len(changes.mended):,}", f"{len(changes.broken):,}"]
        seconds = sum(row.get("seconds", 0.0) for run in entry.runs for row in run.metrics) / len(entry.runs)
        table.add_row(
            Text(entry.name, "bold" if number in kept else ""),
            _with_ci(comparison.scores[number]),
            *cells,
            str(len(entry.runs)),
            brief(seconds),
        )
    return table


def _with_ci(interval: Interval, sign: str = "") -> str:
    return f"{100 * interval.value:{sign}.1f}±{50 * (interval.high - interval.low):.1f}"
