"""How good a classifier is, and how sure we can be of that: every measure with its bootstrap interval."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
BINS = 15
"""Equal bins of confidence for the calibration error, as in Guo et al. 2017."""
AT_ONCE = 4_000_000
"""Draws held in memory at a time: 32 MB."""


@dataclass(frozen=True)
class Interval:
    """A measure and the 95 % percentile bootstrap interval around it (Efron 1979), over images."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ClassMetrics:
    """One class."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int
    """Images of the class."""


@dataclass(frozen=True)
class ClassificationMetrics:
    """All measures of N images."""

    images: int
    accuracy: Interval
    top5: Interval | None
    """Share of images whose class is among the five likeliest; None with five classes or fewer."""
    balanced_accuracy: Interval
    """Mean recall of the classes that occur."""
    macro_f1: Interval
    """Mean F1 of the classes that occur or are predicted."""
    loss: Interval
    """Mean negative log-likelihood, in nats."""
    brier: Interval
    """Mean squared distance between the probabilities and the truth, 0 to 2 (Brier 1950)."""
    ece: Interval
    """Expected calibration error (Guo et al. 2017, equation 3), 15 bins."""
    per_class: tuple[ClassMetrics, ...]
    confusion: tuple[tuple[int, ...], ...]
    """Row: the class it is; column: the class it was taken for."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def classification_metrics(
    labels: ArrayLike, probabilities: ArrayLike, classes: Sequence[str], resamples: int = 1000, seed: int = 0
) -> ClassificationMetrics:
    """All measures of ``probabilities``, float (N, C), given the true ``labels``, int (N,)."""
    true, p = np.asarray(labels, dtype=np.int64), np.asarray(probabilities, dtype=np.float64)
    if p.shape != (len(true), len(classes)) or not len(true):
        raise ValueError(f"expected probabilities of shape ({len(true)}, {len(classes)}), N > 0, found {p.shape}")
    parts = _parts(true, p)
    whole = _figures(parts, np.ones((1, len(true))))
    drawn = [_figures(parts, counts) for counts in resampled(len(true), resamples, seed)]
    intervals = {}
    for name, value in whole.items():
        low, high = np.quantile(np.concatenate([each[name] for each in drawn]), [0.025, 0.975])
        intervals[name] = Interval(float(value[0]), float(low), float(high))
    confusion = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(confusion, (true, p.argmax(axis=1)), 1)
    return ClassificationMetrics(
        images=len(true),
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


def bootstrap_mean(each: ArrayLike, resamples: int = 1000, seed: int = 0) -> Interval:
    """The mean of one figure per image, (N,), N > 0, with its interval over images."""
    values = np.asarray(each, dtype=np.float64)
    means = np.concatenate([counts @ values / len(values) for counts in resampled(len(values), resamples, seed)])
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(values.mean()), float(low), float(high))


def calibration(labels: ArrayLike, probabilities: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """The reliability diagram: mean confidence, accuracy and share of images of each bin that has any."""
    p = np.asarray(probabilities, dtype=np.float64)
    right, sure = p.argmax(axis=1) == np.asarray(labels), p.max(axis=1)
    bins = _bin_of(sure)
    count = np.bincount(bins, minlength=BINS)
    some = count > 0
    confidence = np.bincount(bins, sure, BINS)[some] / count[some]
    accuracy = np.bincount(bins, right, BINS)[some] / count[some]
    return confidence, accuracy, count[some] / len(p)


def _bin_of(confidence: Floats) -> NDArray[np.int64]:
    """The bin ((m-1)/15, m/15] of each confidence, from 0."""
    bins: NDArray[np.int64] = np.clip(np.ceil(confidence * BINS) - 1, 0, BINS - 1).astype(np.int64)
    return bins


def _parts(true: NDArray[np.int64], p: Floats) -> dict[str, Floats]:
    """What each image adds to each measure, (N,) or (N, K): resampling images is then a product of matrices."""
    rows, classes = np.arange(len(true)), p.shape[1]
    predicted, sure = p.argmax(axis=1), p.max(axis=1)
    right = (predicted == true).astype(np.float64)
    one_hot = np.eye(classes)
    of_true = p[rows, true]
    parts = {
        "accuracy": right,
        "loss": -np.log(np.maximum(of_true, np.finfo(np.float32).tiny)),
        "brier": np.square(p).sum(axis=1) - 2 * of_true + 1,
        "gap": np.eye(BINS)[_bin_of(sure)] * (sure - right)[:, None],
        "support": one_hot[true],
        "predicted": one_hot[predicted],
        "hits": one_hot[true] * right[:, None],
    }
    if classes > 5:
        parts["top5"] = ((p > of_true[:, None]).sum(axis=1) < 5).astype(np.float64)
    return parts


def resampled(count: int, resamples: int, seed: int) -> Iterator[Floats]:
    """How often each image is drawn in each resample, (some resamples, count), a block at a time."""
    random = np.random.default_rng(seed)
    block = max(1, AT_ONCE // count)
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        drawn = random.integers(0, count, (size, count)) + count * np.arange(size)[:, None]
        yield np.bincount(drawn.ravel(), minlength=size * count).reshape(size, count).astype(np.float64)


def _figures(parts: dict[str, Floats], counts: Floats) -> dict[str, Floats]:
    """Each measure in each of R resamples, (R,); ``counts`` is (R, N)."""
    images = counts.sum(axis=1)
    sums = {name: counts @ part for name, part in parts.items()}
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
