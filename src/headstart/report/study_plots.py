"""Plots of a study as plotly JSON: its metric over labels, and over compute time."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from headstart.comparison.forecast import Declined
from headstart.comparison.forecast_findings import forecast_of
from headstart.comparison.metric import METRICS
from headstart.comparison.summary import Result, Results
from headstart.report.plots import BLUE, GRAY, ORANGE, to_json
from headstart.report.run_page import duration

PURPLE = "#8a63b8"
STYLE = {
    "A": (GRAY, "solid", "square"),
    "B": (BLUE, "solid", "circle"),
    "C": (ORANGE, "solid", "circle"),
    "D": (BLUE, "dash", "circle-open"),
    "E": (ORANGE, "dash", "circle-open"),
    "F": (PURPLE, "solid", "diamond"),
    "G": (GRAY, "dot", "square-open"),
}
"""Color: the pre-training; dashed: frozen."""
SHOWN = 4
"""How many times the most labels a forecast is drawn; what it was measured on."""
TIMES = (1, 10, 60, 600, 3600, 36_000, 360_000, 3_600_000)
NAMES = ("1 s", "10 s", "1 min", "10 min", "1 h", "10 h", "100 h", "1000 h")


def over_labels(results: Results) -> str:
    """A line per setting with the band of its 95 % intervals, its forecast dotted; error bars for a single point."""
    figure = go.Figure()
    for setting in sorted(results.study.settings):
        lines = results.of(setting)
        if not lines:
            continue
        color, dash, symbol = STYLE[setting]
        x, y = [each.labels for each in lines], [each.score.value for each in lines]
        if len(lines) > 1:
            figure.add_scatter(
                x=[*x, *reversed(x)],
                y=[*(each.score.high for each in lines), *(each.score.low for each in reversed(lines))],
                fill="toself",
                fillcolor=_translucent(color),
                line={"width": 0},
                mode="lines",
                legendgroup=setting,
                showlegend=False,
                hoverinfo="skip",
            )
        figure.add_scatter(
            x=x,
            y=y,
            mode="lines+markers",
            line={"color": color, "dash": dash, "width": 2.5},
            marker={"symbol": symbol, "size": 8, "color": color},
            error_y=_error_bars(lines, color) if len(lines) == 1 else None,
            customdata=[[each.score.low, each.score.high, each.seeds] for each in lines],
            hovertemplate="%{y:.1%} (%{customdata[0]:.1%} to %{customdata[1]:.1%}), %{x:,} labels"
            ", seeds: %{customdata[2]}",
            name=f"{setting} {lines[0].phrase}",
            legendgroup=setting,
        )
        _continue(figure, results, setting)
    labels = sorted({each.labels for each in results.lines})
    figure.update_xaxes(
        title_text="labeled training images (logarithmic)",
        type="log",
        tickmode="array",
        tickvals=labels,
        ticktext=[f"{n:,}" for n in labels],
    )
    figure.update_yaxes(title_text=METRICS[results.study.metric].title, tickformat=".0%")
    return to_json(figure, height=460)


def _continue(figure: go.Figure, results: Results, setting: str) -> None:
    """The forecast of a setting but G, dotted, with the band of its 80 % interval, up to `SHOWN` times the labels."""
    found = forecast_of(results.study, setting) if setting != "G" else None
    if found is None or isinstance(found, Declined):
        return
    color = STYLE[setting][0]
    shown = found.labels <= SHOWN * found.labels[0] * 1.001
    x = found.labels[shown].tolist()
    middle, low, high = (each[shown].tolist() for each in found.band())
    about = {"legendgroup": setting, "showlegend": False, "mode": "lines"}
    figure.add_scatter(
        x=[*x, *reversed(x)],
        y=[*high, *reversed(low)],
        fill="toself",
        fillcolor=_translucent(color, 0.07),
        line={"width": 0},
        hoverinfo="skip",
        **about,
    )
    figure.add_scatter(
        x=x,
        y=middle,
        line={"color": color, "dash": "dot", "width": 2},
        customdata=list(zip(low, high, strict=True)),
        hovertemplate="forecast: %{y:.1%} (80 % interval %{customdata[0]:.1%} to %{customdata[1]:.1%})"
        ", %{x:,.0f} labels",
        name=f"{setting}, forecast",
        **about,
    )


def over_time(results: Results, fraction: float) -> str:
    """The metric over the time for one model with ``fraction`` of the labels; the line is the Pareto front."""
    lines = sorted(results.at(fraction), key=lambda each: each.seconds)
    figure = go.Figure()
    front = pareto(lines)
    figure.add_scatter(
        x=[_time(each) for each in front],
        y=[each.score.value for each in front],
        mode="lines",
        line={"shape": "hv", "dash": "dot", "color": GRAY},
        name="Pareto front",
        hoverinfo="skip",
    )
    for each in lines:
        color, _, symbol = STYLE[each.setting]
        figure.add_scatter(
            x=[_time(each)],
            y=[each.score.value],
            mode="markers+text",
            marker={"symbol": symbol, "size": 12, "color": color, "line": {"width": 2, "color": color}},
            error_y=_error_bars([each], color),
            text=[f"<b>{each.setting}</b>"],
            textposition="top right",
            hovertext=f"pre-training {duration(each.seconds_pretrain or 0)}, hyper-parameter selection"
            f" {duration(each.seconds_tune)}, training {duration(each.seconds_train)}",
            hovertemplate="%{y:.1%}; %{hovertext}",
            name=f"{each.setting} {each.phrase}",
        )
    figure.update_xaxes(
        title_text="time for one model: pre-training, selection, training (logarithmic)",
        type="log",
        tickmode="array",
        tickvals=TIMES,
        ticktext=NAMES,
    )
    figure.update_yaxes(title_text=METRICS[results.study.metric].title, tickformat=".0%")
    return to_json(figure, height=400)


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


def _error_bars(lines: Sequence[Result], color: str) -> dict[str, object]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [each.score.high - each.score.value for each in lines],
        "arrayminus": [each.score.value - each.score.low for each in lines],
        "color": color,
        "thickness": 1.5,
    }


def _translucent(color: str, alpha: float = 0.13) -> str:
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"
