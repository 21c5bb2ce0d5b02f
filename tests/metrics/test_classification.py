"""Every measure against scikit-learn or torchmetrics, and the intervals against what theory says of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import binom
from sklearn import metrics as sk
from torchmetrics.classification import MulticlassCalibrationError

from headstart.metrics.calibration import reliability
from headstart.metrics.classification import ClassificationMetrics, classification_metrics

pytestmark = pytest.mark.slow


def made(images: int, classes: int, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels and probabilities of a classifier that is right in a part of the cases."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, images)
    p = random.dirichlet(np.full(classes, 0.3), images)
    p[np.arange(images), labels] += 0.4 * random.random(images)
    return labels, p / p.sum(axis=1, keepdims=True)


def measured(
    images: int = 800, classes: int = 8, **more: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], ClassificationMetrics]:
    labels, p = made(images, classes)
    return labels, p, classification_metrics(labels, p, [f"class {i}" for i in range(classes)], **more)


def test_measures_are_scikit_learn_s() -> None:
    labels, p, got = measured()
    best = p.argmax(axis=1)
    assert got.accuracy.value == pytest.approx(sk.accuracy_score(labels, best))
    assert got.balanced_accuracy.value == pytest.approx(sk.balanced_accuracy_score(labels, best))
    assert got.macro_f1.value == pytest.approx(sk.f1_score(labels, best, average="macro"))
    assert got.loss.value == pytest.approx(sk.log_loss(labels, p))
    assert got.brier.value == pytest.approx(np.square(p - np.eye(8)[labels]).sum(axis=1).mean())
    assert got.top5 is not None
    assert got.top5.value == pytest.approx(sk.top_k_accuracy_score(labels, p, k=5))
    assert np.array_equal(got.confusion, sk.confusion_matrix(labels, best))
    precision, recall, f1, support = sk.precision_recall_fscore_support(labels, best)
    for i, each in enumerate(got.per_class):
        assert (each.precision, each.recall, each.f1) == pytest.approx((precision[i], recall[i], f1[i]))
        assert each.support == support[i]


def test_calibration_error_is_torchmetrics_s() -> None:
    labels, p, got = measured()
    theirs = MulticlassCalibrationError(8, n_bins=15, norm="l1")
    assert got.ece.value == pytest.approx(float(theirs(torch.tensor(p), torch.tensor(labels))), abs=1e-6)
    confidence, accuracy, share = reliability(labels, p)
    assert (np.abs(confidence - accuracy) * share).sum() == pytest.approx(got.ece.value)
    assert share.sum() == pytest.approx(1)


def test_two_classes_and_classes_without_images() -> None:
    assert measured(classes=2)[2].top5 is None
    got = classification_metrics([0, 0, 2], [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.1, 0.8]], ["a", "b", "c"])
    assert got.balanced_accuracy.value == pytest.approx(0.75), "the mean over the two classes that occur"
    assert got.per_class[1].support == 0
    for interval in (got.accuracy, got.balanced_accuracy, got.macro_f1, got.loss, got.ece, got.brier):
        assert np.isfinite([interval.value, interval.low, interval.high]).all()


def test_certain_and_wrong_is_a_large_loss_not_an_infinite_one() -> None:
    assert 50 < classification_metrics([0, 1], [[0.0, 1.0], [0.0, 1.0]], ["a", "b"]).loss.value * 2 < 100


def test_the_interval_of_the_accuracy_is_the_binomial_one() -> None:
    """A percentile bootstrap of a share draws from the binomial law with the share found."""
    labels, _, got = measured(images=2000, resamples=4000)
    low, high = binom.ppf([0.025, 0.975], len(labels), got.accuracy.value) / len(labels)
    assert got.accuracy.low == pytest.approx(low, abs=0.002)
    assert got.accuracy.high == pytest.approx(high, abs=0.002)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """300 samples of a classifier whose accuracy is known: about 95 % of the intervals hold it."""
    labels, p = made(60_000, 4, seed=1)
    truth = (p.argmax(axis=1) == labels).mean()
    held = 0
    for sample in range(300):
        part = slice(200 * sample, 200 * sample + 200)
        interval = classification_metrics(labels[part], p[part], list("abcd"), resamples=300, seed=sample).accuracy
        held += interval.low <= truth <= interval.high
    assert binom.ppf(0.0005, 300, 0.93) <= held <= binom.ppf(0.9995, 300, 0.97)


def test_resampling_in_blocks_is_resampling_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same seed gives the same intervals up to chance, however little memory there is."""
    whole = measured(resamples=2000)[2]
    monkeypatch.setattr("headstart.metrics.bootstrap.MAX_DRAWS", 5000)
    blocks = measured(resamples=2000)[2]
    assert blocks.accuracy.value == whole.accuracy.value
    assert blocks.accuracy.low == pytest.approx(whole.accuracy.low, abs=0.005)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected probabilities of shape \(2, 3\)"):
        classification_metrics([0, 1], [[0.5, 0.5], [0.5, 0.5]], list("abc"))


def test_intervals_are_over_groups_where_there_are_any() -> None:
    """Forty patients of five equal images: as wide as forty images, and wider than two hundred."""
    random = np.random.default_rng(4)
    labels = random.integers(0, 3, 40)
    p = random.dirichlet(np.ones(3), 40)
    patients = np.arange(200) // 5
    few = classification_metrics(labels, p, list("abc"))
    grouped = classification_metrics(labels[patients], p[patients], list("abc"), groups=patients)
    naive = classification_metrics(labels[patients], p[patients], list("abc"))
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "loss"):
        one, many, wrong = (getattr(each, name) for each in (few, grouped, naive))
        assert many.high - many.low == pytest.approx(one.high - one.low, rel=0.12)
        assert wrong.high - wrong.low < 0.7 * (many.high - many.low)
    sure = np.eye(3)[labels[patients]]
    perfect = classification_metrics(labels[patients], sure, list("abc"), groups=patients).accuracy
    assert 0.8 < perfect.low < 0.95 < perfect.value == perfect.high == 1
