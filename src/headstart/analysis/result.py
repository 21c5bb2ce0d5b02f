"""The result of a run in a few sentences, for the end of a training: score, baseline, and where it fails most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from headstart.metrics.bootstrap import Interval
from headstart.metrics.classification import ClassificationMetrics, classification_metrics
from headstart.metrics.collapse import diagnose
from headstart.metrics.segmentation import Counts, SegmentationMetrics, segmentation_metrics
from headstart.metrics.written import score, score_with_ci
from headstart.runs.confusion import MaskConfusions, read_mask_confusions
from headstart.runs.folder import RunFolder
from headstart.runs.predictions import read_predictions
from headstart.runs.training_images import read_groups


def result_sentences(run: RunFolder) -> list[str]:
    """The result of a trained run, the score first; of self-supervised training whether it collapsed."""
    diagnosis, confusions = diagnose(run.metrics), read_mask_confusions(run)
    if diagnosis is not None:
        return [f"{diagnosis.sentence} {diagnosis.fix}".strip()]
    if confusions is not None:
        groups = read_groups(run, confusions.filenames)
        return of_masks(segmentation_metrics(confusions.confusion, run.classes, groups=groups), confusions)
    predictions = read_predictions(run)
    if predictions is None:
        return []
    groups = read_groups(run, predictions.filenames)
    return of_predictions(
        classification_metrics(predictions.labels, predictions.probabilities, run.classes, groups=groups)
    )


def of_predictions(found: ClassificationMetrics) -> list[str]:
    """The result of a classifier: score, baseline, and the weakest class where anything is wrong."""
    counts, baseline = np.array(found.confusion), majority(found)
    said = [
        f"validation accuracy {score_with_ci(found.accuracy)} on {found.images:,} images",
        f"always predicting the most frequent class: {score(baseline)}{_beside_baseline(found.accuracy, baseline)}",
    ]
    weakest = _weakest(counts)
    return said if weakest is None else [*said, _of_images(found, counts, weakest)]


def of_masks(found: SegmentationMetrics, confusions: MaskConfusions) -> list[str]:
    """The same of a segmentation network."""
    said = [
        f"validation mean IoU {score_with_ci(found.miou)}, pixel accuracy {score(found.accuracy.value)}, on"
        f" {found.images:,} images",
        "always predicting the most frequent class: mean IoU"
        f" {score(confusions.constant)}{_beside_baseline(found.miou, confusions.constant)}",
    ]
    weakest = _weakest(confusions.whole)
    return said if weakest is None else [*said, _of_pixels(confusions.palette.classes, confusions.whole, weakest)]


def majority(found: ClassificationMetrics) -> float:
    """Accuracy of always predicting the most frequent class of these images."""
    counts = np.array(found.confusion)
    return float(counts.sum(axis=1).max() / counts.sum())


def _beside_baseline(found: Interval, baseline: float) -> str:
    """That a score is below the majority-class baseline, or not significantly above it; else nothing."""
    if found.value < baseline:
        return ", which this does not reach"
    return "" if found.low > baseline else ", which this is not significantly above"


def _weakest(confusion: Counts) -> int | None:
    """The class with the lowest recall, the larger of equals; None where nothing is wrong."""
    total, hits = confusion.sum(axis=1), confusion.diagonal()
    recall = np.divide(hits, total, out=np.full(len(total), np.inf), where=total > 0)
    found = int(np.lexsort((-total, recall))[0])
    return found if recall[found] < 1 else None


def _taken_for(confusion: Counts, number: int) -> int:
    wrong = confusion[number].copy()
    wrong[number] = -1
    return int(wrong.argmax())


def _of_images(metrics: ClassificationMetrics, confusion: Counts, number: int) -> str:
    names, other = [each.name for each in metrics.per_class], _taken_for(confusion, number)
    return (
        f"weakest class: {names[number]}, {confusion[number, number]:,} of {confusion[number].sum():,} correct, most"
        f" often taken for {names[other]} ({confusion[number, other]:,})"
    )


def _of_pixels(classes: Sequence[str], confusion: Counts, number: int) -> str:
    of, other = confusion[number].sum(), _taken_for(confusion, number)
    return (
        f"weakest class: {classes[number]}, {score(confusion[number, number] / of)} of its pixels correct, most often"
        f" taken for {classes[other]} ({score(confusion[number, other] / of)})"
    )
