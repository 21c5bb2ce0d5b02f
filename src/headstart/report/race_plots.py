"""The plot of a race as SVG: the backbones' accuracies as dots with their 95 % intervals."""

from __future__ import annotations

from headstart.comparison.race_results import RaceResults, Round
from headstart.metrics.written import ends, share
from headstart.report.chart import BLUE, BOTTOM, GRAY, ORANGE, TOP, Axis, Chart, Line, axis, legend

ROW = 34
"""Height of a backbone, in pixels."""
LONGEST = 38
"""Characters of a backbone's name."""


def intervals(results: RaceResults) -> str:
    """A row for each backbone, the best on top: its last probe, and fine-tuned where it was; gray where dropped."""
    lines = [each for each in results.lines() if each.round is not None]
    place = {each.name: len(lines) - i for i, each in enumerate(lines)}
    kinds: list[tuple[str, str, bool, list[tuple[str, Round]]]] = [
        ("frozen, not dropped", BLUE, True, [(e.name, e.round) for e in lines if e.round and not e.dropped]),
        ("frozen, dropped", GRAY, True, [(e.name, e.round) for e in lines if e.round and e.dropped]),
    ]
    if results.final is not None:
        kinds.append(("fine-tuned", ORANGE, False, [(name, results.final) for name in results.final.names]))
    drawn: list[Line] = []
    for title, color, hollow, points in kinds:
        scores = [(name, found.score(name), found.labels) for name, found in points]
        for name, score, _ in scores:
            ends_of = [score.low, score.high]
            bar = Line(title, color, ends_of, [place[name]] * 2, marker="", width=2, legend=False)
            drawn.append(bar)
        if scores:
            tips = [f"{name}: {share(score)} ({ends(score)}), {labels:,} labels" for name, score, labels in scores]
            values, rows = [score.value for _, score, _ in scores], [place[name] for name, *_ in scores]
            drawn.append(Line(title, color, values, rows, hollow=hollow, sizes=[5.5] * len(rows), tips=tips, width=0))
    names = [
        (at, name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}")
        for name, at in place.items()
    ]
    chart = Chart(
        lines=drawn,
        x=axis([value for line in drawn for value in line.x], "accuracy", percent=True),
        y=Axis(0.4, len(lines) + 0.6, names),
        says="accuracy of each backbone with its 95 % interval; the table below has the numbers",
        height=TOP + BOTTOM + ROW * (len(lines) + 1),
        left=24 + 7 * max(len(name) for _, name in names),
    )
    return legend(drawn) + chart.svg()
