"""Plots of a run as plotly JSON: learning curves, confusion matrix, reliability diagram."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray
from plotly.subplots import make_subplots

from headstart.files import Row
from headstart.metrics.calibration import reliability as reliability_bins
from headstart.metrics.classification import ClassificationMetrics
from headstart.runs.tables import best_epoch

BLUE, ORANGE, GRAY = "#3b82c4", "#e07b39", "#8a8f98"  # told apart by all common kinds of color blindness
METRIC_TITLES = {
    "loss": "loss",
    "miou": "mean IoU",
    "accuracy": "accuracy",
    "feature_std": "feature std",
    "view_similarity": "view similarity",
    "knn": "kNN accuracy",
    "lr": "learning rate",
}
"""Metrics of `metrics.csv` that have a subplot where they occur, from left to right; the last always occurs."""
MAX_CELLS_WITH_NUMBERS = 25
"""Classes beyond which the confusion matrix shows its numbers on hover only."""
MAX_CLASSES = 100
"""Classes that the confusion matrix has at the most: its size grows with the square."""


def curves(rows: Sequence[Row], epochs: int, monitor: str) -> str:
    """Learning curves: a subplot per metric, stars at the best epochs, filled where ``monitor`` selects by it.

    ``rows`` are those of `metrics.csv`, ``epochs`` those planned, ``monitor`` is the recipe's `checkpoint.monitor`.
    """
    metrics = [name for name in METRIC_TITLES if any(name in row for row in rows)]
    figure = make_subplots(
        rows=1,
        cols=len(metrics),
        subplot_titles=[METRIC_TITLES[name] for name in metrics],
        horizontal_spacing=0.24 / len(metrics),
    )
    for split, color in (("train", GRAY), ("val", BLUE)):
        _add_curves(figure, metrics, [row for row in rows if row["split"] == split], split, color)
    if monitor != "last":
        _add_best_epochs(figure, metrics, rows, monitor)
    figure.update_xaxes(title_text="epoch", range=[0.5, epochs + 0.5], dtick=max(1, round(epochs / 6)))
    for column, metric in enumerate(metrics, 1):
        if metric in ("miou", "accuracy", "knn"):
            figure.update_yaxes(tickformat=".0%", col=column)
    figure.update_yaxes(rangemode="tozero", tickformat="~e", col=len(metrics))
    return to_json(figure, height=340)


def _add_curves(figure: go.Figure, metrics: Sequence[str], rows: Sequence[Row], split: str, color: str) -> None:
    """A line per metric of one split."""
    name = "training" if split == "train" else "validation"
    style = {"mode": "lines+markers", "marker": {"size": 4}, "name": name, "legendgroup": split}
    for column, metric in enumerate(metrics, 1):
        if any(metric in row for row in rows):
            figure.add_scatter(
                x=[row["epoch"] + 1 for row in rows],
                y=[row.get(metric) for row in rows],
                line={"color": ORANGE if metric == "lr" else color},
                showlegend=column == 1,
                row=1,
                col=column,
                **style,
            )


def _add_best_epochs(figure: go.Figure, metrics: Sequence[str], rows: Sequence[Row], monitor: str) -> None:
    """A star at the best validation epoch by loss, and by mean IoU or accuracy."""
    val = {row["epoch"]: row for row in rows if row["split"] == "val"}
    for metric in ("loss", "miou" if "miou" in metrics else "accuracy"):
        best = best_epoch(rows, metric) if metric in metrics else None
        if best is None:
            continue
        saved = monitor == f"val_{metric}"
        figure.add_scatter(
            x=[best + 1],
            y=[val[best][metric]],
            mode="markers",
            marker={"symbol": "star" if saved else "star-open", "size": 14, "color": ORANGE},
            name=f"best by {METRIC_TITLES[metric]}{' (saved)' if saved else ''}: epoch {best + 1}",
            row=1,
            col=metrics.index(metric) + 1,
        )


def confusion(metrics: ClassificationMetrics) -> str:
    """Confusion matrix: rows true class, columns predicted class, color the share of the row.

    Of more than `MAX_CLASSES` classes, the most confused ones.
    """
    counts = np.array(metrics.confusion)
    shown = most_confused(counts)
    names = [metrics.per_class[i].name for i in shown]
    counts, share = counts[np.ix_(shown, shown)], _row_shares(counts)[np.ix_(shown, shown)]
    return matrix(share, counts, names, counts, "%{customdata} of %{y} predicted as %{x} (%{z:.1%})")


def most_confused(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indices of the `MAX_CLASSES` most confused classes, in order; ``counts`` is (K, K)."""
    errors = counts.sum(axis=0) + counts.sum(axis=1) - 2 * counts.diagonal()
    return np.sort(np.argsort(-errors, kind="stable")[:MAX_CLASSES])


def _row_shares(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    share: NDArray[np.float64] = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return share


def matrix(
    share: NDArray[np.float64], hover_data: ArrayLike, names: Sequence[str], cells: ArrayLike, hover: str
) -> str:
    """A confusion matrix colored by ``share`` (K, K), with ``cells`` written into it unless there are too many classes.

    ``hover`` is the text of a cell under the pointer, ``hover_data`` its customdata.
    """
    labels = [escape(name) for name in names]
    ticks = list(range(len(labels)))
    text = np.asarray(cells) if len(labels) <= MAX_CELLS_WITH_NUMBERS else np.full(share.shape, "", dtype=object)
    figure = go.Figure(
        go.Heatmap(
            z=share.round(4).tolist(),
            customdata=np.asarray(hover_data).tolist(),
            text=text.tolist(),
            texttemplate="%{text}",
            hovertemplate=f"{hover}<extra></extra>",
            x=labels,
            y=labels,
            colorscale=[[0, "rgba(59,130,196,0.03)"], [1, "rgba(59,130,196,1)"]],
            zmin=0,
            zmax=1,
            showscale=False,
            xgap=1,
            ygap=1,
        )
    )
    axis = {"type": "category", "tickmode": "array", "tickvals": ticks, "ticktext": labels, "showgrid": False}
    figure.update_xaxes(title_text="predicted class", tickangle=-45, **axis)
    figure.update_yaxes(title={"text": "true class", "standoff": 16}, autorange="reversed", **axis)
    return to_json(figure, height=int(np.clip(140 + 26 * len(labels), 320, 900)))


def reliability(labels: NDArray[np.int64], predictions: Mapping[str, tuple[NDArray[np.int64], ArrayLike]]) -> str:
    """Reliability diagram, accuracy against confidence; a calibrated network lies on the diagonal.

    A line for each of ``predictions``: name -> (rows of ``labels``, their probabilities (N, C)).
    """
    figure = go.Figure()
    diagonal = {"color": GRAY, "dash": "dot"}
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line=diagonal, name="perfect calibration", hoverinfo="skip")
    for (name, (rows, probabilities)), color in zip(predictions.items(), (BLUE, ORANGE), strict=False):
        confidence, accuracy, share = reliability_bins(labels[rows], probabilities)
        figure.add_scatter(
            x=confidence.tolist(),
            y=accuracy.tolist(),
            customdata=share.tolist(),
            mode="lines+markers",
            marker={"size": (6 + 30 * np.sqrt(share)).tolist(), "color": color, "opacity": 0.8},
            line={"color": color},
            name=name,
            hovertemplate="confidence %{x:.1%}, accuracy %{y:.1%} (%{customdata:.1%} of the images)<extra></extra>",
        )
    figure.update_xaxes(title_text="confidence (probability of the predicted class)", tickformat=".0%", range=[0, 1.02])
    figure.update_yaxes(title_text="accuracy", tickformat=".0%", range=[0, 1.05])
    return to_json(figure, height=380)


def to_json(figure: go.Figure, height: int) -> str:
    """The figure with our layout, as JSON that is safe inside a script element."""
    layout: Mapping[str, Any] = {
        "template": "none",
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": GRAY},
        "margin": {"l": 60, "r": 16, "t": 36, "b": 60},
        "height": height,
        "legend": {"orientation": "h", "y": -0.28},
    }
    figure.update_layout(**layout)
    figure.update_xaxes(automargin=True, gridcolor="rgba(138,143,152,0.2)", zeroline=False)
    figure.update_yaxes(automargin=True, gridcolor="rgba(138,143,152,0.2)", zeroline=False)
    return as_script(str(figure.to_json()))


def as_script(json: str) -> str:
    """JSON escaped for a script element, whatever names it holds."""
    return json.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
