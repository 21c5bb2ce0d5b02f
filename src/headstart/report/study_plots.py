"""Plots of a study as SVG: its answer, its metric over labels, and over compute time."""

from __future__ import annotations

import math
from collections.abc import Sequence

from headstart.comparison.answer import brief, candidates
from headstart.comparison.forecast import Declined
from headstart.comparison.forecast_findings import forecast_of
from headstart.comparison.metric import METRICS
from headstart.comparison.summary import Result, Results
from headstart.metrics.written import ends, share
from headstart.report.chart import Arrow, Axis, Chart, Line, Marker, axis, legend
from headstart.report.interval_plot import Score, interval_chart

SHAPES: dict[str, Marker] = {"A": "square", "F": "diamond", "G": "square"}
"""Markers of settings that are no circle; hollow where the backbone is frozen, as the line is dashed."""
SHOWN = 4
"""How many times the most labels a forecast is drawn; what it was measured on."""
TIMES = (1, 10, 60, 600, 3600, 36_000, 360_000, 3_600_000)
NAMES = ("1 s", "10 s", "1 min", "10 min", "1 h", "10 h", "100 h", "1000 h")
DASH = "7 5"


def color(setting: str) -> str:
    """The color of a setting, on every page."""
    return f"var(--{setting})"


def frozen(setting: str) -> bool:
    return setting in "DEG"


def interval_plot(results: Results) -> str:
    """A dot and its 95 % interval for each setting with the most labels, the baseline as a line.

    A bracket joins those to use, between which there is no significant difference.
    """
    kept = candidates(results)
    at = [*kept, *(each for each in results.at(kept[0].fraction) if each not in kept)]
    scores = [
        Score(
            each.setting,
            each.phrase,
            each.score,
            color(each.setting),
            SHAPES.get(each.setting, "circle"),
            frozen(each.setting),
        )
        for each in at
    ]
    return interval_chart(scores, METRICS[results.study.metric].title, results.study.majority_baseline, len(kept))


def over_labels(results: Results) -> str:
    """A line per setting with the band of its 95 % intervals, its forecast dotted; error bars for a single point."""
    lines = label_lines(results)
    title = METRICS[results.study.metric].title
    labels = sorted({each.labels for each in results.lines})
    right = max(value for line in lines for value in line.x)
    left, right = (labels[0] / 1.3, right * 1.3) if len(labels) == 1 else (labels[0], right)
    chart = Chart(
        lines=lines,
        x=Axis(
            left * 0.95, right * 1.05, _apart(labels, left, right), "labeled training images (logarithmic)", log=True
        ),
        y=axis(
            [end for line in lines for end in (*line.low, *line.high) or line.y if end is not None], title, percent=True
        ),
        says=f"{title} of each setting over the labeled training images; the table below has the numbers",
        height=430,
        arrows=_multipliers(results),
    )
    return legend(lines) + chart.svg()


def _multipliers(results: Results) -> list[Arrow]:
    """The label multiplier of each setting, from its score to A's curve, with the fewest labels where significant."""
    arrows = []
    for setting in sorted(results.study.settings):
        found = [each for each in results.of(setting) if each.multiplier_significant]
        at = min(found, key=lambda each: each.labels, default=None)
        if at is None or at.label_multiplier is None:
            continue
        multiplier = at.label_multiplier
        arrows.append(
            Arrow(
                key=setting,
                color=color(setting),
                start=at.labels,
                end=at.labels * multiplier.value,
                y=at.score.value,
                text=f"{setting} {multiplier.text} \N{MULTIPLICATION SIGN}",
                tip=f"{setting}, {at.labels:,} labels: label multiplier {multiplier.text} ({multiplier.interval_text})",
            )
        )
    return arrows


def label_lines(results: Results) -> list[Line]:
    """The lines of `over_labels`: of each setting, and its forecast."""
    lines: list[Line] = []
    for setting in sorted(results.study.settings):
        of_setting = results.of(setting)
        if not of_setting:
            continue
        lines.append(
            Line(
                name=f"{setting} {of_setting[0].phrase}",
                color=color(setting),
                x=[each.labels for each in of_setting],
                y=[each.score.value for each in of_setting],
                low=[each.score.low for each in of_setting],
                high=[each.score.high for each in of_setting],
                dash=DASH if frozen(setting) else "",
                marker=SHAPES.get(setting, "circle"),
                hollow=frozen(setting),
                tips=[
                    f"{setting}: {share(each.score)} ({ends(each.score)}), {each.labels:,} labels, seeds: {each.seeds}"
                    for each in of_setting
                ],
                key=setting,
            )
        )
        lines += _forecast(results, setting)
    return lines


def _apart(labels: Sequence[int], left: float, right: float) -> list[tuple[float, str]]:
    """Ticks at the labels that do not run into each other, the largest first."""
    kept: list[int] = []
    for each in reversed(labels):
        if not kept or math.log(kept[-1] / each) > 0.05 * math.log(right / left):
            kept.append(each)
    return [(float(each), f"{each:,}") for each in kept]


def _forecast(results: Results, setting: str) -> list[Line]:
    """The forecast of a setting but G, dotted, with the band of its 80 % interval, up to `SHOWN` times the labels."""
    found = forecast_of(results.study, setting) if setting != "G" else None
    if found is None or isinstance(found, Declined):
        return []
    shown = found.labels <= SHOWN * found.labels[0] * 1.001
    x = found.labels[shown].tolist()
    middle, low, high = (each[shown].tolist() for each in found.band())
    return [
        Line(
            name=f"{setting}, forecast",
            color=color(setting),
            x=x,
            y=middle,
            low=low,
            high=high,
            dash="2 4",
            marker="",
            width=2,
            key=setting,
            legend=False,
            faint=True,
        )
    ]


def over_time(results: Results, fraction: float) -> str:
    """The metric over the time for one model with ``fraction`` of the labels; the line is the Pareto front."""
    of_fraction = sorted(results.at(fraction), key=lambda each: each.seconds)
    front = pareto(of_fraction)
    lines = [
        Line(
            name="Pareto front",
            color="var(--soft)",
            x=[_time(each) for each in front],
            y=[each.score.value for each in front],
            dash="2 4",
            marker="",
            step=True,
        )
    ]
    lines += [_dot(each) for each in of_fraction]
    title = METRICS[results.study.metric].title
    times = [_time(each) for each in of_fraction]
    chart = Chart(
        lines=lines,
        x=_time_axis(min(times), max(times)),
        y=axis([end for line in lines for end in (*line.low, *line.high)], title, percent=True),
        says=f"{title} of each setting over the time for one model",
        height=380,
    )
    return legend(lines) + chart.svg()


def _dot(each: Result) -> Line:
    return Line(
        name=f"{each.setting} {each.phrase}",
        color=color(each.setting),
        x=[_time(each)],
        y=[each.score.value],
        low=[each.score.low],
        high=[each.score.high],
        marker=SHAPES.get(each.setting, "circle"),
        hollow=frozen(each.setting),
        sizes=[6],
        width=0,
        labels=[each.setting],
        tips=[
            f"{each.setting}: {share(each.score)}; pre-training {brief(each.seconds_pretrain or 0)}, hyper-parameter"
            f" selection {brief(each.seconds_tune)}, training {brief(each.seconds_train)}"
        ],
    )


def _time_axis(low: float, high: float) -> Axis:
    start, end = low / 1.6, high * 1.9
    ticks = [(float(time), text) for time, text in zip(TIMES, NAMES, strict=True) if start <= time <= end]
    if len(ticks) < 2:
        ticks = list(dict.fromkeys((value, brief(value)) for value in (low, high)))
        if len(ticks) == 2 and math.log(high / low) < 0.05 * math.log(end / start):
            ticks = ticks[:1]
    return Axis(start, end, ticks, "time for one model: pre-training, selection, training (logarithmic)", log=True)


def pareto(lines: Sequence[Result]) -> list[Result]:
    """The Pareto front of score over time: results that none exceeds in as little time, fastest first."""
    front: list[Result] = []
    for each in sorted(lines, key=lambda each: (each.seconds, -each.score.value)):
        if not front or each.score.value > front[-1].score.value:
            front.append(each)
    return front


def _time(line: Result) -> float:
    """Never 0, which a logarithm cannot show."""
    return max(line.seconds, 0.1)
