"""The plot of a race as plotly JSON: the backbones' accuracies as dots with their 95 % intervals."""

from __future__ import annotations

import plotly.graph_objects as go

from headstart.comparison.race_results import RaceResults, Round
from headstart.report.plots import BLUE, GRAY, ORANGE, to_json

ROW = 34
"""Height of a backbone, in pixels."""


def intervals(results: RaceResults) -> str:
    """A row for each backbone, the best on top: its last probe, and fine-tuned where it was; gray where dropped."""
    figure, lines = go.Figure(), [each for each in results.lines() if each.round is not None]
    names = [each.name for each in reversed(lines)]
    kinds: list[tuple[str, str, str, list[tuple[str, Round]]]] = [
        ("frozen, not dropped", BLUE, "circle-open", [(e.name, e.round) for e in lines if e.round and not e.dropped]),
        ("frozen, dropped", GRAY, "circle-open", [(e.name, e.round) for e in lines if e.round and e.dropped]),
    ]
    if results.final is not None:
        kinds.append(("fine-tuned", ORANGE, "circle", [(name, results.final) for name in results.final.names]))
    for title, color, symbol, points in kinds:
        if not points:
            continue
        scores = [found.score(name) for name, found in points]
        figure.add_scatter(
            x=[each.value for each in scores],
            y=[name for name, _ in points],
            mode="markers",
            marker={"size": 10, "symbol": symbol, "color": color, "line": {"width": 2, "color": color}},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [each.high - each.value for each in scores],
                "arrayminus": [each.value - each.low for each in scores],
                "color": color,
                "thickness": 1.5,
            },
            customdata=[
                [score.low, score.high, found.labels] for score, (_, found) in zip(scores, points, strict=True)
            ],
            hovertemplate="%{x:.1%} (%{customdata[0]:.1%} to %{customdata[1]:.1%}), %{customdata[2]:,} labels",
            name=title,
        )
    figure.update_yaxes(type="category", categoryorder="array", categoryarray=names, automargin=True)
    figure.update_xaxes(tickformat=".0%")
    return to_json(figure, height=150 + ROW * len(names))
