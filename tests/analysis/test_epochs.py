"""More or fewer epochs: one rule for every task, and no report that advises both."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from headstart.analysis.epochs import ACCURACY, MEAN_IOU, Score, epochs_advice
from headstart.analysis.findings import findings
from headstart.analysis.mask_findings import mask_findings
from headstart.metrics.bootstrap import Interval
from headstart.palette import Palette
from headstart.runs.analysis import EpochAnalysis, EpochMetrics, FeatureAnalysis
from headstart.runs.confusion import MaskConfusions

ONE_CLASS = MaskConfusions(
    ("a.jpg",), np.array([[[0, 9], [0, 90]]]), Palette(("field", "road"), ((1, 1, 1), (2, 2, 2)), (0, 1), "number")
)
"""Every pixel is predicted as one class."""


def table(score: Score, curves: list[tuple[float, float, float]]) -> list[dict[str, Any]]:
    """`metrics.csv` from (validation loss, validation score, training score)."""
    rows: list[dict[str, Any]] = []
    for epoch, (loss, val, train) in enumerate(curves):
        rows.append({"epoch": epoch, "split": "train", "loss": loss, score.column: train, "lr": 1e-3})
        rows.append({"epoch": epoch, "split": "val", "loss": loss, score.column: val, "ece": 0.05})
    return rows


def weak_head(epoch: int) -> FeatureAnalysis:
    """Features that are better than the head."""
    worse, better = Interval(0.5, 0.49, 0.51), Interval(0.8, 0.79, 0.81)
    val = EpochMetrics(
        images=100, accuracy=worse, loss=worse, ece=worse, brier=worse, knn=better, purity=None, silhouette=None
    )
    each = EpochAnalysis(epoch=epoch, val=val, train=None, variance=0.9)
    return FeatureAnalysis(epochs=(each,), scaling=None, perplexity=30, split="all", seed=0)


RISING = [(1.0, 0.5, 0.5), (0.8, 0.6, 0.6), (0.7, 0.7, 0.7)]
GAPING = [(1.0, 0.5, 0.6), (0.8, 0.6, 0.8), (0.7, 0.7, 0.9)]
TURNED = [(1.0, 0.5, 0.6), (0.7, 0.7, 0.8), (0.8, 0.6, 0.9)]
PARTED = [(1.0, 0.5, 0.6), (0.7, 0.6, 0.8), (0.8, 0.7, 0.9)]


@pytest.mark.parametrize("score", [ACCURACY, MEAN_IOU])
@pytest.mark.parametrize(
    ("curves", "by_loss", "by_score"),
    [
        (RISING, "more", "more"),
        (RISING[:2], None, None),  # two epochs say little
        (GAPING, "more", "more"),  # over-fitted, and still the better for it
        (TURNED, "fewer", "fewer"),
        (PARTED, "fewer", "more"),
        ([(loss, val, val) for loss, val, _ in TURNED], None, None),
    ],
)
def test_the_metric_that_chooses_the_checkpoint_decides(
    curves: list[tuple[float, float, float]], by_loss: str | None, by_score: str | None, score: Score
) -> None:
    rows = table(score, curves)
    assert epochs_advice(rows, "val_loss", score) == epochs_advice(rows, "last", score) == by_loss
    assert epochs_advice(rows, f"val_{score.column}", score) == by_score
    assert epochs_advice([], "val_loss", score) is None


def test_no_report_advises_more_and_fewer_epochs_and_both_tasks_say_the_same() -> None:
    random, found = np.random.default_rng(0), set()
    for _ in range(300):
        curves = [(float(loss), float(val), float(train)) for loss, val, train in random.random((4, 3))]
        for monitor in ("val_loss", "score", "last"):
            classes = findings(
                table(ACCURACY, curves), monitor.replace("score", "val_accuracy"), weak_head(len(curves))
            )
            masks = mask_findings(table(MEAN_IOU, curves), monitor.replace("score", "val_miou"), ONE_CLASS)
            advised = [
                {
                    word
                    for word, signs in {
                        "more": ("more epochs", "More epochs", "longer"),
                        "fewer": ("fewer epochs",),
                    }.items()
                    if any(sign in " ".join(said) for sign in signs)
                }
                for said in (classes, masks)
            ]
            assert advised[0] == advised[1]
            assert len(advised[0]) == 1, "the weak head and the one class ask for more where nothing asks for fewer"
            found |= advised[0]
    assert found == {"more", "fewer"}
