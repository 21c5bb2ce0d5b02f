"""Plots of a segmentation run as plotly JSON: IoU per class, pixel confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go

from headstart.files import Row
from headstart.metrics.segmentation import Counts
from headstart.palette import Palette
from headstart.report.plots import GRAY, matrix, most_confused, to_json

VISIBLE_CLASSES = 30
"""Classes whose line is visible at first; the others are in the legend, and drawn on a click."""


def hexadecimal(color: Sequence[int]) -> str:
    """``(0, 255, 255)`` -> ``#00ffff``."""
    return "#" + "".join(f"{part:02x}" for part in color)


def iou_over_epochs(rows: Sequence[Row], palette: Palette, epochs: int, kept: int | None) -> str:
    """Validation IoU of each class over the epochs, in its color; ``kept`` is the epoch of the checkpoint, from 1.

    Under each line lies a wider gray one, so that a white or black class is visible on any background.
    """
    val = [row for row in rows if row["split"] == "val"]
    figure = go.Figure()
    for number, (name, color) in enumerate(zip(palette.classes, palette.colors, strict=False)):
        values = [row.get(f"iou_{name}") for row in val]
        points = {
            "x": [row["epoch"] + 1 for row in val],
            "y": [None if value is None or np.isnan(value) else value for value in values],
            "visible": True if number < VISIBLE_CLASSES else "legendonly",
            "legendgroup": str(number),
            "name": escape(name),
        }
        figure.add_scatter(**points, mode="lines", line={"color": GRAY, "width": 5}, showlegend=False, hoverinfo="skip")
        figure.add_scatter(
            **points,
            mode="lines+markers",
            line={"color": hexadecimal(color), "width": 2.5},
            marker={"size": 7, "line": {"color": GRAY, "width": 1}},
            hovertemplate="%{y:.1%} in epoch %{x}",
        )
    if kept is not None:
        figure.add_vline(x=kept, line={"color": GRAY, "dash": "dot"}, annotation_text="saved")
    figure.update_xaxes(title_text="epoch", range=[0.5, epochs + 0.5], dtick=max(1, round(epochs / 12)))
    figure.update_yaxes(title_text="IoU", tickformat=".0%", range=[-0.02, 1.02])
    return to_json(figure, height=400)


def pixel_confusion(confusion: Counts, classes: Sequence[str]) -> str:
    """Confusion matrix of pixels (K, K): rows true class, columns predicted class, in per cent of the row."""
    shown = most_confused(confusion)
    counts = confusion[np.ix_(shown, shown)]
    of_row = counts / np.maximum(confusion.sum(axis=1)[shown, None], 1)
    of_all = counts / confusion.sum()
    written = np.array([[_per_cent(value) for value in row] for row in of_row], dtype=object)
    hover = "%{z:.2%} of %{y} predicted as %{x}<br>%{customdata:.3%} of all pixels"
    return matrix(of_row, of_all.round(6), [classes[i] for i in shown], written, hover)


def _per_cent(share: float) -> str:
    """'93.1', '<0.1'; empty for 0."""
    return "" if share == 0 else "<0.1" if share < 0.0005 else f"{100 * share:.1f}"
