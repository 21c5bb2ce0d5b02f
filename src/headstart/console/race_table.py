"""The table of a race for the terminal: a row for each backbone, the one to use first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from headstart.comparison.race_results import Line, RaceResults
    from headstart.metrics.bootstrap import Interval


def race_table(results: RaceResults) -> Table:
    """A row for each backbone: accuracy of its last probe and fine-tuned, with half of the 95 % interval after ±."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    fine_tuned = results.final is not None
    titles = ["backbone", "frozen", "labels", "Δ vs best\n(95 % CI)", *(["fine-tuned"] * fine_tuned), "LogME", "result"]
    for title in titles:
        left = title in ("backbone", "result")
        table.add_column(title, justify="left" if left else "right", no_wrap=title != "backbone", overflow="fold")
    if results.default is not None:
        table.caption, table.caption_justify = "* your recipe's", "left"
    for line in results.lines():
        cells = _cells(results, line)
        table.add_row(*(cells if fine_tuned else [*cells[:4], *cells[5:]]), style=None if line.error is None else "dim")
    return table


def _cells(results: RaceResults, line: Line) -> list[Text]:
    backbone = results.race.backbone(line.name)
    name = Text(line.name + (" *" if backbone.default else ""))
    found = line.round
    if found is None:
        return [name, *[Text("")] * 5, Text(results.outcome(line))]
    best = found.ranking[0]
    delta = _with_ci(found.difference(line.name, best), "+") if line.name != best else ""
    return [
        name,
        Text(_with_ci(found.score(line.name))),
        Text(f"{found.labels:,}"),
        Text(delta),
        Text(_with_ci(line.fine_tuned) if line.fine_tuned is not None else ""),
        Text("" if backbone.logme is None else f"{backbone.logme:.3f}"),
        Text(results.outcome(line)),
    ]


def _with_ci(interval: Interval, sign: str = "") -> str:
    return f"{100 * interval.value:{sign}.1f} ±{50 * (interval.high - interval.low):.1f}"
