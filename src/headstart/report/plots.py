"""Plots of a run as SVG: learning curves, confusion matrix, reliability diagram."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headstart.files import Row
from headstart.metrics.calibration import confidence_bin
from headstart.metrics.calibration import reliability as reliability_bins
from headstart.metrics.classification import ClassificationMetrics
from headstart.report.chart import BLUE, GRAY, ORANGE, Axis, Chart, Line, axis, legend
from headstart.report.matrix import matrix, most_confused
from headstart.runs.tables import best_epoch

METRIC_TITLES = {
    "loss": "loss",
    "miou": "mean IoU",
    "accuracy": "accuracy",
    "feature_std": "feature std",
    "view_similarity": "view similarity",
    "knn": "kNN accuracy",
    "lr": "learning rate",
}
"""Metrics of `metrics.csv` that have a panel where they occur, from left to right."""
SHARES = ("miou", "accuracy", "knn")


def curves(rows: Sequence[Row], epochs: int, monitor: str) -> str:
    """Learning curves: a panel per metric, stars at the best epochs, filled where ``monitor`` selects by it.

    ``rows`` are those of `metrics.csv`, ``epochs`` those planned, ``monitor`` is the recipe's `checkpoint.monitor`.
    """
    keys: dict[str, Line] = {}
    panels = []
    for metric in (name for name in METRIC_TITLES if any(name in row for row in rows)):
        lines = curve_lines(rows, metric, monitor)
        keys |= {line.name: line for line in lines if line.name not in keys}
        values = [value for line in lines for value in line.y if value is not None]
        chart = Chart(
            lines=lines,
            x=epoch_axis(epochs, 6),
            y=axis(values, percent=metric in SHARES, count=4, zero=metric == "lr"),
            says=f"{METRIC_TITLES[metric]} of training and validation over the epochs",
            title=METRIC_TITLES[metric],
            width=340,
            height=290,
        )
        panels.append(chart.svg())
    return f'{legend([*keys.values()])}<div class="small-charts">{"".join(panels)}</div>'


def epoch_axis(epochs: int, count: int) -> Axis:
    """An axis from before the first epoch to after the last."""
    step = max(1, round(epochs / count))
    return Axis(0.5, epochs + 0.5, [(float(n), str(n)) for n in range(step, epochs + 1, step)], "epoch")


def curve_lines(rows: Sequence[Row], metric: str, monitor: str) -> list[Line]:
    """A metric of training and validation over the epochs, and a star at the best epoch of those that select."""
    lines = []
    for split, name, color in (("train", "training", GRAY), ("val", "validation", BLUE)):
        part = [row for row in rows if row["split"] == split]
        if any(metric in row for row in part):
            values = [_finite(row.get(metric)) for row in part]
            form = ".1%" if metric in SHARES else ".4g"
            tips = [
                "" if value is None else f"{name}, epoch {row['epoch'] + 1}: {value:{form}}"
                for row, value in zip(part, values, strict=True)
            ]
            lines.append(
                Line(name, color, [row["epoch"] + 1 for row in part], values, tips=tips, sizes=[3] * len(part))
            )
    val = {row["epoch"]: row for row in rows if row["split"] == "val"}
    second = "miou" if any("miou" in row for row in rows) else "accuracy"
    best = best_epoch(rows, metric) if monitor != "last" and metric in ("loss", second) else None
    if best is not None:
        saved = monitor == f"val_{metric}"
        name = f"best by {METRIC_TITLES[metric]}{' (saved)' if saved else ''}: epoch {best + 1}"
        value = val[best][metric]
        lines.append(Line(name, ORANGE, [best + 1], [value], marker="star", hollow=not saved, sizes=[7], width=0))
    return lines


def _finite(value: float | None) -> float | None:
    return value if value is not None and np.isfinite(value) else None


def confusion(metrics: ClassificationMetrics) -> str:
    """Confusion matrix: rows true class, columns predicted class, color the share of the row.

    Of more than `MAX_CLASSES` classes, the most confused ones.
    """
    all_counts = np.array(metrics.confusion)
    shown = most_confused(all_counts)
    names = [metrics.per_class[i].name for i in shown]
    of_class = np.maximum(all_counts.sum(axis=1), 1)[shown]
    counts = all_counts[np.ix_(shown, shown)]
    tips = [
        [f"{counts[i, j]} of {of_class[i]} {one} predicted as {other}" for j, other in enumerate(names)]
        for i, one in enumerate(names)
    ]
    return matrix(counts / of_class[:, None], names, counts.astype(str).tolist(), tips, shown.tolist())


def reliability(labels: NDArray[np.int64], predictions: Mapping[str, tuple[NDArray[np.int64], ArrayLike]]) -> str:
    """Reliability diagram, accuracy against confidence; a calibrated network lies on the diagonal.

    A line for each of ``predictions``: name -> (rows of ``labels``, their probabilities (N, C)). The points of the
    first carry the number of their bin, by which the page opens their images.
    """
    lines = [Line("perfect calibration", GRAY, [0, 1], [0, 1], dash="2 4", marker="")]
    for (name, (rows, probabilities)), color in zip(predictions.items(), (BLUE, ORANGE), strict=False):
        confidence, accuracy, share = reliability_bins(labels[rows], probabilities)
        counts = np.rint(share * len(rows)).astype(int)
        tips = [
            f"mean confidence {c:.0%}: {round(a * n)} of {n} images correct"
            for c, a, n in zip(confidence, accuracy, counts, strict=True)
        ]
        sizes = (3 + 15 * np.sqrt(share)).tolist()
        bins = [] if len(lines) > 1 else np.unique(confidence_bin(np.max(probabilities, axis=1))).tolist()
        line = Line(name, color, confidence.tolist(), accuracy.tolist(), tips=tips, sizes=sizes, faint=True, bins=bins)
        lines.append(line)
    ticks = [(value / 5, f"{20 * value} %") for value in range(6)]
    chart = Chart(
        lines=lines,
        x=Axis(0, 1.02, ticks, "confidence (probability of the predicted class)"),
        y=Axis(0, 1.05, ticks, "accuracy"),
        says="accuracy over confidence; below the diagonal the network is over-confident",
        width=640,
        height=400,
    )
    return legend(lines) + chart.svg()


def as_script(json: str) -> str:
    """JSON escaped for a script element, whatever names it holds."""
    return json.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
