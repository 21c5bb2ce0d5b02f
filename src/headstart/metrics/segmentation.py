"""Segmentation metrics from the confusion matrix of each image: IoU, Dice, pixel accuracy, with bootstrap intervals.

A matrix is int (K, K): pixels by true class (row) and predicted class (column), ignored pixels left out. The metrics of
a set are those of the sum of its matrices: pixels are summed over all images before dividing. A class that is neither
in the ground truth nor predicted is undefined (nan), and not part of the mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headstart.metrics.bootstrap import Floats, Interval, resampled
from headstart.metrics.shares import share_interval

Counts = NDArray[np.int64]

WORST, BEST = 12, 4
"""Images with the lowest and the highest IoU whose masks are stored for the report, at most."""
PAIRS, PHANTOMS = 10, 4
"""Confused pairs, and classes that no image has but the predictions, of which an image is stored as well, at most."""
SPECK = 0.001
"""A class with less than this share of an image, in ground truth and prediction together, is left out of its IoU."""


@dataclass(frozen=True)
class MaskClassMetrics:
    """Metrics of one class."""

    name: str
    iou: Interval | None
    """Intersection over union (Jaccard 1912); None where the class is neither in the ground truth nor predicted."""
    dice: float | None
    """2 TP / (2 TP + FP + FN), as IoU."""
    pixels: int
    """Pixels that are of the class."""
    predicted: int
    """Pixels that are predicted as it."""


@dataclass(frozen=True)
class SegmentationMetrics:
    """All segmentation metrics of N images."""

    images: int
    miou: Interval
    """Mean IoU over the classes where it is defined."""
    accuracy: Interval
    """Pixel accuracy."""
    mean_dice: float
    per_class: tuple[MaskClassMetrics, ...]
    undefined: tuple[str, ...]
    """The classes that are neither in the ground truth nor predicted."""
    confusion: tuple[tuple[int, ...], ...]
    """Pixels of all images by true class (row) and predicted class (column)."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Phantoms:
    """Classes that are predicted somewhere, though no pixel of the ground truth is of them."""

    classes: tuple[int, ...]
    pixels: int
    """Pixels that are predicted as them."""
    cost: float
    """How much higher the mean IoU would be over the other classes alone: each of these is in the mean with 0."""


@dataclass(frozen=True)
class ConfusedPair:
    """Pixels of one class that were predicted as another."""

    truth: str
    predicted: str
    pixels: int
    of_class: float
    """Share of the class's pixels."""
    of_wrong: float
    """Share of all wrong pixels."""


def iou(confusion: ArrayLike) -> Floats:
    """IoU of each class, float (..., K), from matrices (..., K, K); nan where it is undefined."""
    right, true, predicted = _parts(confusion)
    return _divided(right, true + predicted - right)


def dice(confusion: ArrayLike) -> Floats:
    """Dice coefficient (F1) of each class, as `iou`."""
    right, true, predicted = _parts(confusion)
    return _divided(2 * right, true + predicted)


def mean_iou(confusion: ArrayLike) -> Floats:
    """Mean IoU over the classes where it is defined, float (...), from matrices (..., K, K); else nan."""
    return _mean(iou(confusion))


def pixel_accuracy(confusion: ArrayLike) -> Floats:
    """Share of correct pixels, float (...), from matrices (..., K, K); nan where all are ignored."""
    right, true, _ = _parts(confusion)
    return _divided(right.sum(axis=-1), true.sum(axis=-1))


def segmentation_metrics(
    confusions: ArrayLike,
    classes: Sequence[str],
    resamples: int = 1000,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> SegmentationMetrics:
    """All metrics of N images' matrices, int (N, K, K), N > 0, with bootstrap intervals over images.

    With ``groups``, the number 0..G-1 of each image's group, the intervals are over groups.
    Raises ValueError for another shape.
    """
    each = np.asarray(confusions, dtype=np.int64)
    count, k = len(each), len(classes)
    if each.shape != (count, k, k) or not count:
        raise ValueError(f"expected matrices of shape (N, {k}, {k}), N > 0, found {each.shape}")
    whole, flat = each.sum(axis=0), each.reshape(count, k * k).astype(np.float64)
    drawn = np.concatenate([draws @ flat for draws in resampled(count, resamples, seed, groups)]).reshape(-1, k, k)
    drawn_iou = iou(drawn)
    ious, dices = iou(whole), dice(whole)
    shown = ((each.sum(axis=1) + each.sum(axis=2)) > 0).sum(axis=0)  # images that show or are said to show a class
    per_class = tuple(
        MaskClassMetrics(
            name=name,
            iou=None if np.isnan(ious[i]) else _interval(ious[i], drawn_iou[:, i], shown[i]),
            dice=None if np.isnan(dices[i]) else float(dices[i]),
            pixels=int(whole[i].sum()),
            predicted=int(whole[:, i].sum()),
        )
        for i, name in enumerate(classes)
    )
    return SegmentationMetrics(
        images=count,
        miou=_interval(_mean(ious), _mean_of_classes(drawn_iou, ~np.isnan(ious)), count),
        accuracy=_interval(pixel_accuracy(whole), pixel_accuracy(drawn), count),
        mean_dice=float(_mean(dices)),
        per_class=per_class,
        undefined=tuple(each.name for each in per_class if each.iou is None),
        confusion=tuple(tuple(row) for row in whole.tolist()),
    )


def image_ious(confusion: Counts) -> Floats:
    """Mean IoU of each image, float (N,), from matrices (N, K, K); nan where every pixel is ignored.

    Classes with less than `SPECK` of an image's pixels are left out of its mean.
    """
    union = confusion.sum(axis=1) + confusion.sum(axis=2) - np.diagonal(confusion, axis1=1, axis2=2)
    present = union >= SPECK * confusion.sum(axis=(1, 2))[:, None]
    ious = np.where(present, iou(confusion), np.nan)
    some = (~np.isnan(ious)).sum(axis=1)
    means: Floats = np.divide(np.nansum(ious, axis=1), some, out=np.full(len(ious), np.nan), where=some > 0)
    return means


def worst_and_best(ious: Floats) -> tuple[list[int], list[int]]:
    """Rows of the images with the lowest IoU, lowest first, and with the highest, highest first; none is in both.

    ``ious`` is float (N,), nan left out; at most `WORST` and `BEST` rows.
    """
    order = [int(row) for row in np.argsort(ious, kind="stable") if not np.isnan(ious[row])]
    half = -(-len(order) // 2)
    return order[: min(WORST, half)], order[half:][::-1][:BEST]


def images_to_show(confusion: Counts) -> list[int]:
    """Rows of the images whose masks a report needs, from matrices (N, K, K); none twice.

    The worst and the best, and that with the most pixels of each of the `PAIRS` most confused pairs and of `PHANTOMS`
    phantom classes.
    """
    worst, best = worst_and_best(image_ious(confusion))
    whole = confusion.sum(axis=0)
    wrong = whole - np.diag(whole.diagonal())
    largest = np.argsort(-wrong, axis=None, kind="stable")[:PAIRS]
    pairs = [confusion[:, i, j] for i, j in zip(*np.unravel_index(largest, wrong.shape), strict=True) if wrong[i, j]]
    invented = [confusion[:, :, each].sum(axis=1) for each in phantoms(whole).classes[:PHANTOMS]]
    return list(dict.fromkeys([*worst, *best, *(int(pixels.argmax()) for pixels in (*pairs, *invented))]))


def phantoms(confusion: Counts) -> Phantoms:
    """The classes that are in the predictions alone, and what they cost; ``confusion`` is (K, K), of a whole set."""
    pixels, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    found = np.flatnonzero((pixels == 0) & (predicted > 0))
    if not (len(found) and pixels.any()):
        return Phantoms((), 0, 0.0)
    ious = iou(confusion)
    cost = float(np.mean(ious[pixels > 0]) - np.nanmean(ious))
    return Phantoms(tuple(found.tolist()), int(predicted[found].sum()), cost)


def confused_pairs(confusion: Counts, classes: Sequence[str]) -> list[ConfusedPair]:
    """Every pair of classes that was confused, most pixels first; ``confusion`` is (K, K)."""
    of_class = confusion.sum(axis=1)
    wrong = int(confusion.sum() - confusion.trace())
    pairs = [
        ConfusedPair(
            classes[i], classes[j], int(confusion[i, j]), confusion[i, j] / of_class[i], confusion[i, j] / wrong
        )
        for i, j in zip(*np.nonzero(confusion), strict=True)
        if i != j
    ]
    return sorted(pairs, key=lambda pair: -pair.pixels)


def _parts(confusion: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """For each class, (..., K): correct pixels, pixels of the class, pixels predicted as it."""
    pixels = np.asarray(confusion, dtype=np.float64)
    return np.diagonal(pixels, axis1=-2, axis2=-1), pixels.sum(axis=-1), pixels.sum(axis=-2)


def _divided(some: Floats, all_: Floats) -> Floats:
    shares: Floats = np.divide(some, all_, out=np.full(np.shape(all_), np.nan), where=all_ > 0)
    return shares


def _mean(values: Floats) -> Floats:
    """Mean over the last axis without nan; nan where all are."""
    some = ~np.isnan(values)
    return _divided(np.where(some, values, 0).sum(axis=-1), some.sum(axis=-1).astype(np.float64))


def _mean_of_classes(drawn: Floats, classes: NDArray[np.bool_]) -> Floats:
    """Means over ``classes`` (K,) in the resamples ``drawn`` (R, K) that have them all; in all resamples if none has.

    A rare class lies in few images. In resamples without any of these the mean would be over fewer classes: another
    metric, mostly far higher.
    """
    whole = ~np.isnan(drawn[:, classes]).any(axis=1)
    return _mean(drawn[whole] if whole.any() else drawn)


def _interval(value: NDArray[np.float64] | float, drawn: Floats, units: float) -> Interval:
    """``value`` with the percentile interval of the resamples where it is defined.

    Where all resamples are equal, as of ``units`` images without an error, it is the interval of a share.
    """
    defined = drawn[~np.isnan(drawn)]
    low, high = np.quantile(defined, [0.025, 0.975]) if len(defined) else (np.nan, np.nan)
    if low == high:
        return share_interval(float(value), 0.0, units, max(units - 1, 1))
    return Interval(float(value), float(low), float(high))
