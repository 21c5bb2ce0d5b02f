"""The report's figures, as plotly's JSON."""

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
from headstart.runs.folder import best_epoch

BLUE, ORANGE, GRAY = "#3b82c4", "#e07b39", "#8a8f98"  # told apart by all common kinds of color blindness
PANELS = {
    "loss": "loss",
    "miou": "mean IoU",
    "accuracy": "accuracy",
    "spread": "spread",
    "likeness": "likeness of views",
    "knn": "kNN accuracy",
    "lr": "learning rate",
}
"""What is drawn over the epochs where it is there, from left to right; the last is always there."""
MANY = 25
"""Classes beyond which the confusion matrix shows its figures on hover only."""
MOST = 100
"""Classes that the confusion matrix has at the most: its size grows with the square."""


def curves(rows: Sequence[Row], epochs: int, kept: str) -> str:
    """Figures over the epochs, as many as there are; the best epochs are marked, the kept one filled."""
    panels = [name for name in PANELS if any(name in row for row in rows)]
    names = [PANELS[name] for name in panels]
    figure = make_subplots(rows=1, cols=len(panels), subplot_titles=names, horizontal_spacing=0.24 / len(panels))
    for split, color in (("train", GRAY), ("val", BLUE)):
        part = [row for row in rows if row["split"] == split]
        x = [row["epoch"] + 1 for row in part]
        name = "training" if split == "train" else "validation"
        style = {"mode": "lines+markers", "marker": {"size": 4}, "name": name, "legendgroup": split}
        for column, metric in enumerate(panels, 1):
            if any(metric in row for row in part):
                figure.add_scatter(
                    x=x,
                    y=[row.get(metric) for row in part],
                    line={"color": ORANGE if metric == "lr" else color},
                    showlegend=column == 1,
                    row=1,
                    col=column,
                    **style,
                )
    val = {row["epoch"]: row for row in rows if row["split"] == "val"}
    starred = ("loss", "miou") if "miou" in panels else ("loss", "accuracy")
    for column, metric in enumerate(panels, 1):
        best = best_epoch(rows, metric) if metric in starred and kept != "last" else None
        if best is not None:
            filled = kept == f"val_{metric}"
            symbol = "star" if filled else "star-open"
            figure.add_scatter(
                x=[best + 1],
                y=[val[best][metric]],
                mode="markers",
                marker={"symbol": symbol, "size": 14, "color": ORANGE},
                name=f"best by {PANELS[metric]}{' (kept)' if filled else ''}: epoch {best + 1}",
                row=1,
                col=column,
            )
    figure.update_xaxes(title_text="epoch", range=[0.5, epochs + 0.5], dtick=max(1, round(epochs / 6)))
    for column, metric in enumerate(panels, 1):
        if metric in ("miou", "accuracy", "knn"):
            figure.update_yaxes(tickformat=".0%", col=column)
    figure.update_yaxes(rangemode="tozero", tickformat="~e", col=len(panels))
    return drawn(figure, height=340)


def confusion(measures: ClassificationMetrics) -> str:
    """Rows: what it is; columns: what it was taken for; color: the share of the row.

    Of more than `MOST` classes, those that are confused most.
    """
    counts = np.array(measures.confusion)
    shown = most_confused(counts)
    names = [measures.per_class[i].name for i in shown]
    counts, share = counts[np.ix_(shown, shown)], _of_row(counts)[np.ix_(shown, shown)]
    return matrix(share, counts, names, counts, "%{customdata} of %{y} taken for %{x} (%{z:.1%})")


def most_confused(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of more than `MOST` classes, those that are confused most; ``counts`` is (K, K)."""
    mistakes = counts.sum(axis=0) + counts.sum(axis=1) - 2 * counts.diagonal()
    return np.sort(np.argsort(-mistakes, kind="stable")[:MOST])


def _of_row(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    share: NDArray[np.float64] = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return share


def matrix(share: NDArray[np.float64], more: ArrayLike, names: Sequence[str], figures: ArrayLike, hover: str) -> str:
    """A confusion matrix: colored by ``share``; ``figures`` stand in the cells of `MANY` classes or fewer.

    ``hover`` is shown of a cell under the pointer, ``more`` being its customdata.
    """
    written = [escape(name) for name in names]
    places = list(range(len(written)))
    shown = np.asarray(figures) if len(written) <= MANY else np.full(share.shape, "", dtype=object)
    figure = go.Figure(
        go.Heatmap(
            z=share.round(4).tolist(),
            customdata=np.asarray(more).tolist(),
            text=shown.tolist(),
            texttemplate="%{text}",
            hovertemplate=f"{hover}<extra></extra>",
            x=written,
            y=written,
            colorscale=[[0, "rgba(59,130,196,0.03)"], [1, "rgba(59,130,196,1)"]],
            zmin=0,
            zmax=1,
            showscale=False,
            xgap=1,
            ygap=1,
        )
    )
    axis = {"type": "category", "tickmode": "array", "tickvals": places, "ticktext": written, "showgrid": False}
    figure.update_xaxes(title_text="taken for", tickangle=-45, **axis)
    figure.update_yaxes(title={"text": "is", "standoff": 16}, autorange="reversed", **axis)
    return drawn(figure, height=int(np.clip(140 + 26 * len(written), 320, 900)))


def reliability(labels: NDArray[np.int64], answers: Mapping[str, tuple[NDArray[np.int64], ArrayLike]]) -> str:
    """Accuracy against confidence; a well calibrated network lies on the diagonal.

    A line for each of ``answers``: name -> (rows of ``labels``, their probabilities).
    """
    figure = go.Figure()
    diagonal = {"color": GRAY, "dash": "dot"}
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line=diagonal, name="perfect", hoverinfo="skip")
    for (name, (rows, probabilities)), color in zip(answers.items(), (BLUE, ORANGE), strict=False):
        confidence, accuracy, share = reliability_bins(labels[rows], probabilities)
        figure.add_scatter(
            x=confidence.tolist(),
            y=accuracy.tolist(),
            customdata=share.tolist(),
            mode="lines+markers",
            marker={"size": (6 + 30 * np.sqrt(share)).tolist(), "color": color, "opacity": 0.8},
            line={"color": color},
            name=name,
            hovertemplate="says %{x:.1%}, right in %{y:.1%} (%{customdata:.1%} of the images)<extra></extra>",
        )
    figure.update_xaxes(
        title_text="what the network says (probability of its answer)", tickformat=".0%", range=[0, 1.02]
    )
    figure.update_yaxes(title_text="how often it is right", tickformat=".0%", range=[0, 1.05])
    return drawn(figure, height=380)


def drawn(figure: go.Figure, height: int) -> str:
    """The figure as JSON that may stand inside a script element."""
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
    """JSON that may stand inside a script element, whatever the names in it."""
    return json.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
