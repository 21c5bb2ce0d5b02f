"""Figures of masks from the images' confusion matrices, against scikit-learn and by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, f1_score, jaccard_score

from headstart.metrics.segmentation import dice, iou, mean_iou, pixel_accuracy, segmentation_metrics

HAND = [[4, 1, 1, 0], [1, 6, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
"""Class c is only predicted, class d is nowhere."""


def masks(images: int = 20, classes: int = 4) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(true, predicted) pixels, (N, P), and their matrices, (N, K, K)."""
    random = np.random.default_rng(0)
    true = random.integers(0, classes, (images, 200))
    predicted = np.where(
        random.random(true.shape) < random.random((images, 1)), true, random.integers(0, 4, true.shape)
    )
    each = [confusion_matrix(t, p, labels=range(classes)) for t, p in zip(true, predicted, strict=True)]
    return true, predicted, np.stack(each)


def test_figures_of_the_set_are_scikit_learn_s_on_all_pixels() -> None:
    true, predicted, each = masks()
    found = segmentation_metrics(each, list("abcd"), resamples=50)
    pixels = true.ravel(), predicted.ravel()
    assert [of.iou.value for of in found.per_class if of.iou] == pytest.approx(jaccard_score(*pixels, average=None))
    assert [of.dice for of in found.per_class] == pytest.approx(f1_score(*pixels, average=None))
    assert found.miou.value == pytest.approx(jaccard_score(*pixels, average="macro"))
    assert found.mean_dice == pytest.approx(f1_score(*pixels, average="macro"))
    assert found.accuracy.value == pytest.approx((true == predicted).mean())
    assert [of.pixels for of in found.per_class] == np.bincount(pixels[0]).tolist()
    assert [of.predicted for of in found.per_class] == np.bincount(pixels[1]).tolist()
    assert (found.images, found.undefined) == (20, ())
    json.dumps(found.to_json(), allow_nan=False)


def test_a_class_that_is_nowhere_is_undefined_and_named() -> None:
    np.testing.assert_allclose(iou(HAND), [4 / 7, 6 / 8, 0, np.nan])
    np.testing.assert_allclose(dice(HAND), [8 / 11, 12 / 14, 0, np.nan])
    assert float(mean_iou(HAND)) == pytest.approx((4 / 7 + 6 / 8) / 3)
    assert float(pixel_accuracy(HAND)) == pytest.approx(10 / 13)
    found = segmentation_metrics([HAND, HAND], ["a", "b", "c", "d"], resamples=10)
    assert found.undefined == ("d",)
    assert (found.per_class[3].iou, found.per_class[3].dice) == (None, None)
    json.dumps(found.to_json(), allow_nan=False)


def test_each_image_has_its_own_figures() -> None:
    true, predicted, each = masks()
    expected = [jaccard_score(t, p, average="macro") for t, p in zip(true, predicted, strict=True)]
    assert mean_iou(each) == pytest.approx(expected)
    assert iou(each).shape == (20, 4)
    assert math.isnan(float(mean_iou(np.zeros((2, 2), dtype=int))))


def test_the_interval_is_that_of_resampled_images() -> None:
    """The same resampling done by hand: images are drawn, their matrices added, and only then divided."""
    _, _, each = masks()
    found = segmentation_metrics(each, list("abcd"), resamples=2000).miou
    random = np.random.default_rng(7)
    by_hand = [float(mean_iou(each[random.integers(0, 20, 20)].sum(axis=0))) for _ in range(2000)]
    low, high = np.quantile(by_hand, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.01)
    assert found.low < found.value < found.high
    assert segmentation_metrics(each, list("abcd"), resamples=2000).miou == found


def test_the_interval_is_of_the_same_classes_as_the_mean() -> None:
    """A class of one image in three, never found: a third of the resamples lacks it, and their means are near 1."""
    common, rare = [[99, 1], [0, 0]], [[50, 0], [50, 0]]
    interval = segmentation_metrics([common, common, rare], ["a", "b"]).miou
    assert interval.value == pytest.approx(248 / 300 / 2)
    assert interval.low <= interval.value <= interval.high < 0.5


def test_matrices_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected matrices of shape \(N, 3, 3\), N > 0, found \(2, 4, 4\)"):
        segmentation_metrics([HAND, HAND], ["a", "b", "c"])
    with pytest.raises(ValueError, match="N > 0"):
        segmentation_metrics(np.zeros((0, 2, 2), dtype=int), ["a", "b"])
