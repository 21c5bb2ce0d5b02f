"""Confidence intervals over seeds and images, paired differences, and cross-fitted selection.

A score is a mean over seeds and images, and its interval that of a share (`metrics.shares`) with the standard error of
the crossed layout (`comparison.crossed`). A difference of two settings is the mean of the paired differences, with
Student's interval. What is said of many differences at once has the level of their family (`comparison.simultaneous`).
docs/statistics.md has each formula and the simulation that shows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, t

from headstart.comparison.crossed import Contrasts, Crossed
from headstart.metrics.bootstrap import Interval
from headstart.metrics.shares import LEVEL, share_interval

POWER = 0.8
"""Of the smallest difference that a study could have found."""
MARGIN = 0.02
"""Two settings closer than this are equivalent, unless said otherwise: 2 points."""


@dataclass(frozen=True)
class Difference:
    """Paired difference of two settings, on the same images and over the seeds that both have."""

    value: float
    error: float
    """Its standard error."""
    freedom: float
    """Degrees of freedom of the standard error."""
    new_error: float
    """Standard deviation of the difference of one new seed on a new sample of as many images."""
    images: int
    seeds: int
    level: float = LEVEL
    """Level of this comparison with which those of its family hold 95 % together; 0.05 for one alone."""
    image_share: float = 1.0
    """Share of its variance that more seeds would not reduce."""

    def at(self, level: float) -> Interval:
        """The interval with the confidence 1 - ``level``."""
        half = float(t.ppf(1 - level / 2, self.freedom)) * self.error
        return Interval(self.value, max(self.value - half, -1.0), min(self.value + half, 1.0))

    @property
    def interval(self) -> Interval:
        """The 95 % interval, simultaneous with those of the other comparisons of the family."""
        return self.at(self.level)

    @property
    def pointwise(self) -> Interval:
        """The 95 % interval of this comparison alone."""
        return self.at(LEVEL)

    @property
    def significant(self) -> bool:
        """Whether the interval excludes 0."""
        return self.interval.low > 0 or self.interval.high < 0

    def within(self, margin: float) -> bool:
        """Equivalence: whether the whole interval lies between -``margin`` and ``margin``."""
        return -margin <= self.interval.low and self.interval.high <= margin

    @property
    def detectable(self) -> float:
        """The smallest true difference that is found significant with a power of 80 %.

        With t the quantile of ``level`` it is (t + z_0.8 sqrt(1 + t^2 / (2 freedom))) standard errors, the root for the
        uncertainty of the standard error: 2.8 for a comparison alone and many degrees of freedom. It does not depend on
        the difference that was observed (Hoenig and Heisey 2001, The American Statistician 55:19).
        """
        return self.detectable_with(self.seeds)

    def detectable_with(self, seeds: int) -> float:
        """`detectable` for another number of seeds, on the same images.

        The variance between images stays, the rest falls with the seeds: (1 - q) S / S' + q of the present variance,
        where q is `image_share`. The degrees of freedom grow with the seeds.
        """
        more = seeds / self.seeds
        error = self.error * float(np.sqrt((1 - self.image_share) / more + self.image_share))
        freedom = self.freedom * max(more, 1.0)
        quantile = float(t.ppf(1 - self.level / 2, freedom))
        return float(quantile + norm.ppf(POWER) * np.sqrt(1 + quantile**2 / (2 * freedom))) * error

    @property
    def improvement(self) -> float:
        """Probability that the first setting scores higher with one new seed on a new sample of as many images.

        The predictive distribution: Student's, with the variance of the estimate and that of the new study added.
        """
        spread = float(np.hypot(self.error, self.new_error))
        return float(t.cdf(self.value / spread, self.freedom)) if spread > 0 else 0.5


@dataclass(frozen=True)
class CrossFit:
    """Accuracy of a selected epoch, each image evaluated by an epoch that it had no part in selecting."""

    correct: NDArray[np.bool_]
    """Per image, (N,), by the epoch that the other half selected."""
    accuracy: float
    optimism: float
    """Accuracy of the epoch selected on all images, on these images, minus ``accuracy``; below 0 by chance at times."""
    epoch: int
    """The epoch selected on all images, from 0: the one to keep."""
    epochs: tuple[int, int]
    """Those selected on each half."""


def average(
    each: ArrayLike, groups: ArrayLike | None = None, clusters: ArrayLike | None = None, *, folds: int = 1
) -> Interval:
    """Mean over seeds and images of a score from 0 to 1, (S, N), with its 95 % interval.

    For accuracy ``each`` is 1 where the prediction is correct; for mean IoU it holds `metrics.pseudo_values`.
    ``groups`` (N,) numbers the group of each image, such as a patient; None where the images are independent.
    ``clusters`` (S,) are those of the seeds, the pre-training that each starts from; ``folds`` is the number of parts
    that the images were validated on in turn.
    """
    crossed = Crossed(np.atleast_2d(np.asarray(each, dtype=np.float64))[None], groups, clusters, folds=folds)
    found = crossed.contrast([[1.0]])
    return share_interval(float(found.value[0]), float(found.error[0]), crossed.units, float(found.freedom[0]))


def difference(
    each: ArrayLike,
    other: ArrayLike,
    groups: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
    *,
    folds: int = 1,
) -> Difference:
    """Paired difference ``each`` - ``other``, both (S, N) as for `average`: the same images, row by row the same seed.

    Raises ValueError where the shapes differ.
    """
    one, two = (np.atleast_2d(np.asarray(scores, dtype=np.float64)) for scores in (each, other))
    if one.shape != two.shape:
        raise ValueError(f"expected the same seeds and images, found the shapes {one.shape} and {two.shape}")
    found = Crossed(np.stack([one, two]), groups, clusters, folds=folds).contrast([[1.0, -1.0]])
    return difference_of(found, one.shape[1], len(one))


def difference_of(found: Contrasts, images: int, seeds: int, level: float = LEVEL) -> Difference:
    """The first of ``found`` as a difference over so many images and seeds."""
    numbers = (found.value, found.error, found.freedom, found.new_error)
    value, error, freedom, new_error = (float(each[0]) for each in numbers)
    return Difference(value, error, freedom, new_error, images, seeds, level, float(found.image_share[0]))


def crossfit(
    loss: ArrayLike, correct: ArrayLike, metric: Literal["val_loss", "val_accuracy"] = "val_loss", seed: int = 0
) -> CrossFit:
    """Cross-fitted accuracy of a run whose epoch is selected on the evaluation images.

    ``loss`` and ``correct`` are per epoch and image, (E, N), N > 1. The images are split by ``seed`` into halves; the
    epoch that one half selects (lowest mean loss or highest accuracy, the first of equals) is evaluated on the other,
    both ways. Give all trials of a study the same ``seed``. Raises ValueError where the shapes do not fit.
    """
    losses, hits = np.asarray(loss, dtype=np.float64), np.asarray(correct, dtype=np.bool_)
    if losses.shape != hits.shape or losses.ndim != 2 or losses.shape[0] < 1 or losses.shape[1] < 2:
        raise ValueError(f"expected (epochs, images), two images or more, found {losses.shape} and {hits.shape}")
    cost = losses if metric == "val_loss" else 1.0 - hits
    images = losses.shape[1]
    order = np.random.default_rng(seed).permutation(images)
    halves = (order[: images // 2], order[images // 2 :])
    first, second = (int(cost[:, half].mean(axis=1).argmin()) for half in halves)
    held_out = np.empty(images, dtype=np.bool_)
    held_out[halves[1]] = hits[first, halves[1]]
    held_out[halves[0]] = hits[second, halves[0]]
    best = int(cost.mean(axis=1).argmin())
    accuracy = float(held_out.mean())
    return CrossFit(held_out, accuracy, float(hits[best].mean()) - accuracy, best, (first, second))
