"""Classification metrics with intervals over images: accuracy, top-5, F1, log loss, Brier score, calibration error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headstart.metrics.bootstrap import Floats, Interval, resampled
from headstart.metrics.calibration import BINS, confidence_bin
from headstart.metrics.shares import share_interval

BALANCED = {"balanced_accuracy", "macro_f1"}
SHARES = {"accuracy", "top5"} | BALANCED
"""Metrics with the interval of a share (`metrics.shares`); the others have the percentiles of a bootstrap."""


@dataclass(frozen=True)
class ClassMetrics:
    """Precision, recall and F1 of one class."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int
    """Images of the class."""


@dataclass(frozen=True)
class ClassificationMetrics:
    """All classification metrics of N images."""

    images: int
    accuracy: Interval
    top5: Interval | None
    """Share of images whose class is among the five most probable; None with five classes or fewer."""
    balanced_accuracy: Interval
    """Mean recall of the classes that occur."""
    macro_f1: Interval
    """Mean F1 of the classes that occur or are predicted."""
    loss: Interval
    """Mean negative log-likelihood, in nats."""
    brier: Interval
    """Mean squared distance between the probabilities and the one-hot target, 0 to 2 (Brier 1950)."""
    ece: Interval
    """Expected calibration error (Guo et al. 2017, equation 3), 15 bins."""
    per_class: tuple[ClassMetrics, ...]
    confusion: tuple[tuple[int, ...], ...]
    """Images by true class (row) and predicted class (column)."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def classification_metrics(
    labels: ArrayLike,
    probabilities: ArrayLike,
    classes: Sequence[str],
    resamples: int = 1000,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> ClassificationMetrics:
    """All metrics of ``probabilities``, float (N, C), against ``labels``, int (N,), with intervals over images.

    With ``groups``, the number 0..G-1 of each image's group, the intervals are over groups.
    Raises ValueError where the shapes do not match ``classes``, or N is 0.
    """
    targets, p = np.asarray(labels, dtype=np.int64), np.asarray(probabilities, dtype=np.float64)
    if p.shape != (len(targets), len(classes)) or not len(targets):
        raise ValueError(f"expected probabilities of shape ({len(targets)}, {len(classes)}), N > 0, found {p.shape}")
    # Point estimates and resamples are the same function of how often each image counts.
    terms = _terms(targets, p)
    estimate = _metrics(terms, np.ones((1, len(targets))))
    drawn = [_metrics(terms, counts) for counts in resampled(len(targets), resamples, seed, groups)]
    intervals = {}
    for name, value in estimate.items():
        low, high = np.quantile(np.concatenate([each[name] for each in drawn]), [0.025, 0.975])
        intervals[name] = Interval(float(value[0]), float(low), float(high))
    count = len(targets) if groups is None else len(np.unique(groups))
    for name in SHARES & estimate.keys():  # a bootstrap of images that are all correct has no width
        error, units = float(np.concatenate([each[name] for each in drawn]).std()), float(count)
        if name in BALANCED:
            units = min(units, _balanced_size(targets))
        elif groups is None:
            error = float(terms[name].std()) / np.sqrt(count)
        error *= np.sqrt(count / max(count - 1, 1))
        intervals[name] = share_interval(float(estimate[name][0]), error, units, max(count - 1, 1))
    confusion = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(confusion, (targets, p.argmax(axis=1)), 1)
    return ClassificationMetrics(
        images=len(targets),
        accuracy=intervals["accuracy"],
        top5=intervals.get("top5"),
        balanced_accuracy=intervals["balanced_accuracy"],
        macro_f1=intervals["macro_f1"],
        loss=intervals["loss"],
        brier=intervals["brier"],
        ece=intervals["ece"],
        per_class=tuple(_per_class(confusion, classes)),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
    )


def _balanced_size(targets: NDArray[np.int64]) -> float:
    """The effective sample size of a mean over classes, each of which counts the same whatever its images."""
    counts = np.unique(targets, return_counts=True)[1]
    return float(len(counts) ** 2 / (1 / counts).sum())


def classification_estimates(labels: ArrayLike, probabilities: ArrayLike) -> dict[str, float]:
    """The point estimates of `classification_metrics`, by name, without intervals: the same numbers to the last digit.

    ``labels`` is int (N,), ``probabilities`` float (N, C), N > 0.
    """
    targets, p = np.asarray(labels, dtype=np.int64), np.asarray(probabilities, dtype=np.float64)
    return {name: float(value[0]) for name, value in _metrics(_terms(targets, p), np.ones((1, len(targets)))).items()}


def _terms(targets: NDArray[np.int64], p: Floats) -> dict[str, Floats]:
    """What each image adds to each metric, (N,) or (N, K): a resample is then a product of matrices."""
    rows, classes = np.arange(len(targets)), p.shape[1]
    predicted, confidence = p.argmax(axis=1), p.max(axis=1)
    correct = (predicted == targets).astype(np.float64)
    one_hot = np.eye(classes)
    of_target = p[rows, targets]
    terms = {
        "accuracy": correct,
        "loss": -np.log(np.maximum(of_target, np.finfo(np.float32).tiny)),
        "brier": np.square(p).sum(axis=1) - 2 * of_target + 1,
        "gap": np.eye(BINS)[confidence_bin(confidence)] * (confidence - correct)[:, None],
        "support": one_hot[targets],
        "predicted": one_hot[predicted],
        "hits": one_hot[targets] * correct[:, None],
    }
    if classes > 5:
        terms["top5"] = ((p > of_target[:, None]).sum(axis=1) < 5).astype(np.float64)
    return terms


def _metrics(terms: dict[str, Floats], counts: Floats) -> dict[str, Floats]:
    """Each metric in each of R resamples, (R,); ``counts`` (R, N) says how often each image occurs."""
    images = counts.sum(axis=1)
    sums = {name: counts @ term for name, term in terms.items()}
    support, predicted, hits = sums.pop("support"), sums.pop("predicted"), sums.pop("hits")
    gap = np.abs(sums.pop("gap")).sum(axis=1) / images
    recall = np.divide(hits, support, out=np.zeros_like(hits), where=support > 0)
    f1 = np.divide(2 * hits, support + predicted, out=np.zeros_like(hits), where=support + predicted > 0)
    return {
        **{name: total / images for name, total in sums.items()},
        "balanced_accuracy": recall.sum(axis=1) / (support > 0).sum(axis=1),
        "macro_f1": f1.sum(axis=1) / (support + predicted > 0).sum(axis=1),
        "ece": gap,
    }


def _per_class(confusion: NDArray[np.int64], classes: Sequence[str]) -> Iterator[ClassMetrics]:
    for i, name in enumerate(classes):
        hits, support, predicted = int(confusion[i, i]), int(confusion[i].sum()), int(confusion[:, i].sum())
        yield ClassMetrics(
            name=name,
            precision=hits / max(predicted, 1),
            recall=hits / max(support, 1),
            f1=2 * hits / max(support + predicted, 1),
            support=support,
        )
