"""The plot of a race as SVG: the backbones' accuracies as dots with their 95 % intervals."""

from __future__ import annotations

from headstart.comparison.race_results import RaceResults
from headstart.report.chart import BLUE, GRAY, ORANGE
from headstart.report.interval_plot import Score, interval_chart


def intervals(results: RaceResults) -> str:
    """A row for each backbone, the best on top: its last probe, and below it fine-tuned, where it was.

    Hollow: frozen; gray: dropped.
    """
    scores = []
    for line in results.lines():
        if line.round is None:
            continue
        color = GRAY if line.dropped else BLUE
        scores.append(Score("", line.name, line.round.score(line.name), color, hollow=True))
        if line.fine_tuned is not None:
            scores.append(Score("", "\N{NO-BREAK SPACE}\N{NO-BREAK SPACE}fine-tuned", line.fine_tuned, ORANGE))
    return interval_chart(scores, "accuracy", results.race.majority_baseline, 0)
