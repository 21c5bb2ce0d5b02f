"""Plots of a segmentation run as SVG: IoU per class, pixel confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from headstart.files import Row
from headstart.metrics.segmentation import Counts
from headstart.palette import Palette
from headstart.report.chart import GRAY, Axis, Chart, Line, legend
from headstart.report.matrix import matrix, most_confused
from headstart.report.plots import epoch_axis

VISIBLE_CLASSES = 30
"""Classes with a line; the table has all."""


def hexadecimal(color: Sequence[int]) -> str:
    """``(0, 255, 255)`` -> ``#00ffff``."""
    return "#" + "".join(f"{part:02x}" for part in color)


def iou_over_epochs(rows: Sequence[Row], palette: Palette, epochs: int, kept: int | None) -> str:
    """Validation IoU of each class over the epochs, in its color; ``kept`` is the epoch of the checkpoint, from 1.

    Under each line lies a wider gray one, so that a white or black class is visible on any background. Of more than
    `VISIBLE_CLASSES` classes, the first.
    """
    val = [row for row in rows if row["split"] == "val"]
    lines = []
    for name, color in list(zip(palette.classes, palette.colors, strict=False))[:VISIBLE_CLASSES]:
        found = [row.get(f"iou_{name}") for row in val]
        values = [None if value is None or np.isnan(value) else value for value in found]
        numbers = [row["epoch"] + 1 for row in val]
        tips = [
            "" if value is None else f"{name}, epoch {number}: IoU {value:.1%}"
            for number, value in zip(numbers, values, strict=True)
        ]
        line = Line(name, hexadecimal(color), numbers, values, tips=tips, sizes=[3.5] * len(val), under=GRAY)
        lines.append(line)
    chart = Chart(
        lines=lines,
        x=epoch_axis(epochs, 12),
        y=Axis(-0.02, 1.02, [(value / 5, f"{20 * value} %") for value in range(6)], "IoU"),
        says="validation IoU of each class over the epochs",
        height=400,
        verticals=[] if kept is None else [(kept, "saved")],
    )
    return legend(lines) + chart.svg()


def pixel_confusion(confusion: Counts, classes: Sequence[str]) -> str:
    """Confusion matrix of pixels (K, K): rows true class, columns predicted class, in per cent of the row.

    Each cell names its classes' numbers, as in ``data-cell="0-4"``: a click shows its images (`masks.js`).
    """
    shown = most_confused(confusion)
    names = [classes[i] for i in shown]
    counts = confusion[np.ix_(shown, shown)]
    of_row = counts / np.maximum(confusion.sum(axis=1)[shown, None], 1)
    of_all = counts / confusion.sum()
    tips = [
        [
            f"{of_row[i, j]:.2%} of {one} predicted as {other}: {of_all[i, j]:.3%} of all pixels. Click: its images"
            for j, other in enumerate(names)
        ]
        for i, one in enumerate(names)
    ]
    cells = [[_per_cent(value) for value in row] for row in of_row]
    return matrix(of_row, names, cells, tips, [int(number) for number in shown])


def _per_cent(share: float) -> str:
    """'93.1', '<0.1'; empty for 0."""
    return "" if share == 0 else "<0.1" if share < 0.0005 else f"{100 * share:.1f}"
