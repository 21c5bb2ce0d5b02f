"""The first screen of a run's page: its answer, what changes it, how sure it is, and its plot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from headstart.analysis.limits import beside_guessing, limits
from headstart.analysis.result import majority, of_masks, of_predictions
from headstart.files import Row
from headstart.metrics.bootstrap import Interval
from headstart.metrics.classification import ClassificationMetrics
from headstart.metrics.segmentation import SegmentationMetrics
from headstart.metrics.shares import mean_share
from headstart.report.chart import BLUE, GRAY
from headstart.report.interval_plot import Score, interval_chart
from headstart.runs.confusion import MaskConfusions
from headstart.runs.folder import RunFolder


class RunAnswer(NamedTuple):
    """What the first screen of a run says, in sentences; its plot as SVG."""

    headline: str
    weakest: str
    """The class that it fails on most; empty where it fails on none."""
    warnings: list[str]
    how_sure: list[str]
    intervals: str
    metric: str


def of_classifier(run: RunFolder, metrics: ClassificationMetrics, test: Row | None) -> RunAnswer:
    """The answer of a classifier; ``test`` is the row of `metrics.csv` on test images."""
    scores = [Score("", "validation", metrics.accuracy, BLUE)]
    if test is not None:
        images = int(test["images"])
        tested = mean_share(np.arange(images) < round(test["accuracy"] * images))
        scores.append(Score("", "test", tested, GRAY, "square"))
    said = of_predictions(metrics)
    return _answer(run, said, metrics.accuracy, majority(metrics), metrics.images, scores, "accuracy")


def of_segmenter(run: RunFolder, metrics: SegmentationMetrics, confusions: MaskConfusions) -> RunAnswer:
    """The answer of a segmentation network."""
    said, scores = of_masks(metrics, confusions), [Score("", "validation", metrics.miou, BLUE)]
    return _answer(run, said, metrics.miou, confusions.constant, metrics.images, scores, "mean IoU")


def _answer(
    run: RunFolder,
    said: Sequence[str],
    found: Interval,
    baseline: float,
    images: int,
    scores: Sequence[Score],
    metric: str,
) -> RunAnswer:
    result, beside, *weakest = (each[0].upper() + each[1:] for each in said)
    return RunAnswer(
        headline=f"{result}. {beside}.",
        weakest=f"{weakest[0]}." if weakest else "",
        warnings=[*beside_guessing(found, baseline), *limits(run)],
        how_sure=_how_sure(run, images),
        intervals=interval_chart(scores, metric, baseline, 0),
        metric=metric,
    )


def _how_sure(run: RunFolder, images: int) -> list[str]:
    """What the interval rests on, and what it leaves out."""
    said = [
        f"{images:,} validation images, one seed: the interval is over images, and leaves out how much another training"
        " would differ."
    ]
    if run.recipe.checkpoint.monitor != "last":
        said.append("The epoch was selected on these images, so the score is slightly optimistic.")
    return said
