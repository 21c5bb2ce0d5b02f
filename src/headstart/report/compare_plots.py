"""Plots of compared runs as SVG: their scores with intervals, and their learning curves over each other."""

from __future__ import annotations

import math

from headstart.comparison.run_comparison import RunComparison
from headstart.files import Row
from headstart.report.chart import Chart, Line, axis, legend
from headstart.report.interval_plot import Score, interval_chart, shortened
from headstart.report.plots import METRIC_TITLES, SHARES, epoch_axis
from headstart.report.study_plots import SHAPES, frozen

COLORS = "BCGFEDA"
"""Letters whose colors entries without a setting take, in order; a further round is dashed."""
PANELS = (("val", "loss"), ("val", "miou"), ("val", "accuracy"), ("val", "knn"), ("train", "loss"), ("train", "lr"))
SPLITS = {"val": "validation", "train": "training"}


def color_of(comparison: RunComparison, number: int) -> str:
    """The color of an entry everywhere on the page; that of its setting where it is one of a study."""
    letter = comparison.entries[number].setting or COLORS[number % len(COLORS)]
    return f"var(--{letter})"


def score_plot(comparison: RunComparison) -> str:
    """A dot and interval per entry: those that none beats first, joined by a bracket; the others by their scores."""
    kept = comparison.candidates
    rest = sorted(set(range(len(comparison.entries))) - set(kept), key=lambda each: -comparison.scores[each].value)
    scores = []
    for number in (*kept, *rest):
        entry = comparison.entries[number]
        name = entry.name.removeprefix(f"{entry.setting} ")
        marker = SHAPES.get(entry.setting, "circle")
        color, hollow = color_of(comparison, number), bool(entry.setting) and frozen(entry.setting)
        scores.append(Score(entry.setting, name, comparison.scores[number], color, marker, hollow))
    return interval_chart(scores, comparison.shared.metric.title, comparison.shared.baseline, len(kept))


def overlaid_curves(comparison: RunComparison) -> str:
    """A panel for each metric of validation and training, with a line for each run in the color of its entry."""
    rows = [[run.metrics for run in entry.runs] for entry in comparison.entries]
    epochs = max(1 + max((row["epoch"] for row in run), default=0) for runs in rows for run in runs)
    keys: dict[str, Line] = {}
    panels = []
    for split, metric in PANELS:
        lines = [line for number, runs in enumerate(rows) for line in _lines(comparison, number, runs, split, metric)]
        if not lines:
            continue
        for line in lines:
            keys.setdefault(line.key, line)
        values = [value for line in lines for value in line.y if value is not None]
        title = METRIC_TITLES[metric] if metric == "lr" else f"{SPLITS[split]} {METRIC_TITLES[metric]}"
        chart = Chart(
            lines=lines,
            x=epoch_axis(epochs, 6),
            y=axis(values, percent=metric in SHARES, count=4, zero=metric == "lr"),
            says=f"{title} of each run over the epochs",
            title=title,
            width=340,
            height=290,
        )
        panels.append(chart.svg())
    return f'{legend([*keys.values()])}<div class="small-charts">{"".join(panels)}</div>'


def _lines(comparison: RunComparison, number: int, runs: list[list[Row]], split: str, metric: str) -> list[Line]:
    entry, lines = comparison.entries[number], []
    form = ".1%" if metric in SHARES else ".4g"
    for run, seed in zip(runs, entry.seeds, strict=True):
        part = [row for row in run if row["split"] == split and metric in row]
        if not part:
            continue
        values = [row[metric] if math.isfinite(row[metric]) else None for row in part]
        of = f"{entry.name}{f', seed {seed}' if len(runs) > 1 else ''}"
        tips = [
            "" if value is None else f"{of}, epoch {row['epoch'] + 1}: {value:{form}}"
            for row, value in zip(part, values, strict=True)
        ]
        lines.append(
            Line(
                name=shortened(entry.name, 40),
                key=f"entry-{number}",
                color=color_of(comparison, number),
                x=[row["epoch"] + 1 for row in part],
                y=values,
                tips=tips,
                sizes=[3] * len(part),
                dash="" if number < len(COLORS) or entry.setting else "7 5",
            )
        )
    return lines
