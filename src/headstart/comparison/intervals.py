"""Confidence intervals over seeds and images, paired differences, required sample size, and cross-fitted selection.

A score of a study has two sources of variance: the evaluation images and the training seeds. They are crossed: the same
N images evaluate every seed. So a resample draws images and seeds, each with replacement and independently (the
"pigeonhole" bootstrap, Owen 2007, *The pigeonhole bootstrap*, Annals of Applied Statistics 1:386), and draws the same
images and seeds in all settings, so that a difference between two settings is not due to the draw.

The bootstrap of three seeds is too narrow: the standard deviation of their means is short by a third, and its tails
are thin. The draws are therefore rescaled about the estimate, to the standard error of the two-way layout and to
Student's quantile for its degrees of freedom, which are few only where the seeds dominate the variance (Hillis 2007,
Statistics in Medicine 26:596, who compares readers over the same cases). With one seed the interval is the plain
bootstrap over images; tables and pages that print it say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, t

from headstart.metrics.bootstrap import Floats, Interval, resampled

RESAMPLES = 2000
LEVELS = (0.025, 0.975)


@dataclass(frozen=True)
class Difference:
    """Paired difference of two settings, on the same images and over the seeds that both have."""

    interval: Interval
    images: int
    seeds: int
    required_images: int | None
    """Images that a paired test would need to detect the difference; see the function `required_images`."""

    @property
    def significant(self) -> bool:
        """Whether the interval excludes 0."""
        return self.interval.low > 0 or self.interval.high < 0


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


def resample_images(value: ArrayLike, resamples: int = RESAMPLES, seed: int = 0) -> Floats:
    """The mean of each row of ``value`` (M, N) over each resample of the N images, the same for all rows: (R, M)."""
    x = np.asarray(value, dtype=np.float64)
    return np.concatenate([counts @ x.T / x.shape[1] for counts in resampled(x.shape[1], resamples, seed)])


def resample_seeds(means: Floats, value: Floats, seeds: Sequence[int], seed: int = 0) -> Floats:
    """The mean over each resample of the S seeds, (R,), studentized.

    ``value`` is (S, N), ``means`` (R, S) its `resample_images`. The same ``seeds`` get the same resamples.
    """
    count = len(seeds)
    random = np.random.default_rng([seed, 1, *(number % 2**32 for number in seeds)])
    drawn = random.integers(0, count, (len(means), count))
    share = (drawn[:, :, None] == np.arange(count)).mean(axis=1)
    return studentize((means * share).sum(axis=1), value)


def studentize(drawn: Floats, value: Floats) -> Floats:
    """Rescale bootstrap means (R,) of ``value`` (S, N) to its standard error and to Student's t quantile.

    Unchanged with one seed, and where all draws are equal.
    """
    deviation = drawn.std()
    if len(value) < 2 or deviation == 0:
        return drawn
    error, freedom = standard_error(value)
    mean = value.mean()
    return np.asarray(mean + (drawn - mean) * error * t.ppf(LEVELS[1], freedom) / (deviation * norm.ppf(LEVELS[1])))


def standard_error(value: ArrayLike) -> tuple[float, float]:
    """Standard error of the mean over seeds and images of ``value`` (S, N), S > 1, and its degrees of freedom.

    The two-way random-effects layout without replication, with mean squares of seeds, images and residual: the variance
    is (MS_s + max(MS_i - MS_r, 0)) / (S N), degrees of freedom after Hillis 2007. MS_s is at least MS_r in expectation,
    and clipped to it: seeds that agree by chance do not narrow the interval.
    """
    x = np.asarray(value, dtype=np.float64)
    seeds, images = x.shape
    of_seed, of_image = x.mean(axis=1), x.mean(axis=0)
    ms_seeds, rest, excess = float(images * of_seed.var(ddof=1)), 0.0, 0.0
    if images > 1:
        rest = float(np.square(x - of_seed[:, None] - of_image + x.mean()).sum() / ((seeds - 1) * (images - 1)))
        excess = max(float(seeds * of_image.var(ddof=1)) - rest, 0.0)
    total = max(ms_seeds, rest) + excess
    freedom = (seeds - 1) * (total / ms_seeds) ** 2 if ms_seeds > 0 else np.inf
    return float(np.sqrt(total / (seeds * images))), float(freedom)


def interval_of(value: float, drawn: Floats, low: float = -np.inf, high: float = np.inf) -> Interval:
    """The 95 % percentile interval of the draws (R,), clipped to ``low`` and ``high``."""
    ends = np.clip(np.quantile(drawn, LEVELS), low, high)
    return Interval(value, float(ends[0]), float(ends[1]))


def average(each: ArrayLike, seeds: Sequence[int] | None = None, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """Mean over seeds and images of a score from 0 to 1, (S, N), with its 95 % interval.

    For accuracy ``each`` is 1 where the prediction is correct; for mean IoU it holds `metrics.pseudo_values`.
    """
    x = np.atleast_2d(np.asarray(each, dtype=np.float64))
    drawn = resample_seeds(resample_images(x, resamples, seed), x, seeds or range(len(x)), seed)
    return interval_of(float(x.mean()), drawn, 0.0, 1.0)


def difference(
    each: ArrayLike,
    other: ArrayLike,
    seeds: Sequence[int] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Difference:
    """Paired difference ``each`` - ``other``, both (S, N) as for `average`: the same images, row by row the same seed.

    Raises ValueError where the shapes differ.
    """
    one, two = (np.atleast_2d(np.asarray(scores, dtype=np.float64)) for scores in (each, other))
    if one.shape != two.shape:
        raise ValueError(f"expected the same seeds and images, found the shapes {one.shape} and {two.shape}")
    return difference_of(one - two, resample_images(one - two, resamples, seed), seeds or range(len(one)), seed)


def difference_of(paired: Floats, means: Floats, seeds: Sequence[int], seed: int = 0) -> Difference:
    """The same, from the paired differences (S, N) and their means over resampled images (R, S)."""
    interval = interval_of(float(paired.mean()), resample_seeds(means, paired, seeds, seed), -1.0, 1.0)
    return Difference(interval, paired.shape[1], len(paired), required_images(paired.mean(axis=0)))


def required_images(paired: ArrayLike, power: float = 0.8, level: float = 0.05) -> int | None:
    """Images for a paired two-sided test to detect the observed difference with this power; None when it is 0.

    n = (z_0.975 + z_0.8)^2 var(d) / mean(d)^2, where d (N,) is the difference of the two settings per image, its mean
    over the seeds. For correct or wrong predictions of one seed it is -1, 0 or 1: McNemar's test, and var(d) is
    p10 + p01 - (p10 - p01)^2 (Connor 1987, Biometrics 43:207). The observed difference is itself uncertain, and n with
    it: take it as an order of magnitude. More images do not reduce the variance between seeds.
    """
    d = np.asarray(paired, dtype=np.float64)
    mean = d.mean()
    if np.isclose(mean, 0, atol=1e-12):
        return None
    quantiles = norm.ppf(1 - level / 2) + norm.ppf(power)
    return max(int(np.ceil(quantiles**2 * d.var() / mean**2)), 1)


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
