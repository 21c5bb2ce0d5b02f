"""Settings against each other: intervals over seeds and images, paired differences, power, and honest choices.

A figure of a study has two sources of chance: which images judged it, and which seeds trained it. Both are crossed: the
same N images judge every seed. So a resample draws images and seeds, each with replacement and independently (the
"pigeonhole" bootstrap, Owen 2007, *The pigeonhole bootstrap*, Annals of Applied Statistics 1:386), and draws the same
images and seeds in all settings, so that what differs between two of them is not the draw.

Three seeds resampled are too like each other: the spread of their means is short by a third, and its tails are thin.
The draws are therefore stretched about the estimate, to the standard error of the two-way layout and to Student's
quantile for its degrees of freedom, which are few only where the seeds are what is uncertain (Hillis 2007, Statistics
in Medicine 26:596, who compares readers over the same cases). With one seed there is nothing to say of seeds: the
interval is the plain bootstrap over images, and whoever prints it says so.
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
    """What one setting is above another, on the same images and over the seeds that both have."""

    interval: Interval
    images: int
    seeds: int
    required_images: int | None
    """Images that a paired test would need; see `images_needed`."""

    @property
    def significant(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.interval.low > 0 or self.interval.high < 0


@dataclass(frozen=True)
class CrossFit:
    """What a choice of epoch is worth on images that had no part in it."""

    correct: NDArray[np.bool_]
    """Per image, by the epoch that the other half chose."""
    accuracy: float
    optimism: float
    """What the epoch that all images chose has above it on these very images; below 0 by chance at times."""
    epoch: int
    """The epoch that all images choose, from 0: the one to keep."""
    epochs: tuple[int, int]
    """Those that the halves chose."""


def resample_images(value: ArrayLike, resamples: int = RESAMPLES, seed: int = 0) -> Floats:
    """The mean of each row of ``value``, (M, N), over the images of each resample, the same for all rows: (R, M)."""
    x = np.asarray(value, dtype=np.float64)
    return np.concatenate([counts @ x.T / x.shape[1] for counts in resampled(x.shape[1], resamples, seed)])


def resample_seeds(means: Floats, value: Floats, seeds: Sequence[int], seed: int = 0) -> Floats:
    """The mean over the seeds of each resample, (R,), from ``means`` over its images, (R, S), of ``value``, (S, N).

    Whatever has the same ``seeds`` gets the same ones in each resample.
    """
    count = len(seeds)
    random = np.random.default_rng([seed, 1, *(number % 2**32 for number in seeds)])
    drawn = random.integers(0, count, (len(means), count))
    share = (drawn[:, :, None] == np.arange(count)).mean(axis=1)
    return _studentize((means * share).sum(axis=1), value)


def _studentize(drawn: Floats, value: Floats) -> Floats:
    """Means (R,) of a group (S, N), brought to the spread and the tails that its few seeds call for."""
    spread = drawn.std()
    if len(value) < 2 or spread == 0:
        return drawn
    error, freedom = standard_error(value)
    mean = value.mean()
    return np.asarray(mean + (drawn - mean) * error * t.ppf(LEVELS[1], freedom) / (spread * norm.ppf(LEVELS[1])))


def standard_error(value: ArrayLike) -> tuple[float, float]:
    """Standard error of the mean of a figure per seed and image, (S, N), S > 1, and its degrees of freedom.

    The two-way layout without replication, seeds and images both drawn by chance, with mean squares of seeds, images
    and the rest: the variance is (MS_s + max(MS_i - MS_r, 0)) / (S N), degrees of freedom after Hillis 2007. MS_s is at
    least MS_r in expectation, and is taken for no less: seeds that agree by chance do not narrow the interval.
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
    """The 95 % interval of the draws; ``low`` and ``high`` are what the figure cannot pass."""
    ends = np.clip(np.quantile(drawn, LEVELS), low, high)
    return Interval(value, float(ends[0]), float(ends[1]))


def average(each: ArrayLike, seeds: Sequence[int] | None = None, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """Mean over seeds and images of a score from 0 to 1, (S, N), with its 95 % interval.

    Of accuracies ``each`` is right or wrong; of mean IoUs, `pseudovalues.pseudo_values`.
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
    """What ``each`` is above ``other``, both (S, N) as for `average`: the same images, and row by row the same seed."""
    one, two = (np.atleast_2d(np.asarray(scores, dtype=np.float64)) for scores in (each, other))
    if one.shape != two.shape:
        raise ValueError(f"expected the same seeds and images, found the shapes {one.shape} and {two.shape}")
    return difference_of(one - two, resample_images(one - two, resamples, seed), seeds or range(len(one)), seed)


def difference_of(apart: Floats, means: Floats, seeds: Sequence[int], seed: int = 0) -> Difference:
    """The same, from ``apart`` (S, N) and its means over resampled images (R, S)."""
    interval = interval_of(float(apart.mean()), resample_seeds(means, apart, seeds, seed), -1.0, 1.0)
    return Difference(interval, apart.shape[1], len(apart), required_images(apart.mean(axis=0)))


def required_images(apart: ArrayLike, power: float = 0.8, level: float = 0.05) -> int | None:
    """Images for a paired two-sided test to find the difference seen with this power; None when it is 0.

    n = (z_0.975 + z_0.8)^2 var(d) / mean(d)^2, where d is per image what one setting is above the other (the mean
    over seeds, where there are some). Of answers right or wrong it is -1, 0 or 1; with one seed it is McNemar's test,
    and var(d) is p10 + p01 - (p10 - p01)^2 (Connor 1987, Biometrics 43:207). The difference seen is itself uncertain,
    and n with it: it is an order of magnitude. More images do not mend what the seeds scatter.
    """
    d = np.asarray(apart, dtype=np.float64)
    mean = d.mean()
    if np.isclose(mean, 0, atol=1e-12):
        return None
    quantiles = norm.ppf(1 - level / 2) + norm.ppf(power)
    return max(int(np.ceil(quantiles**2 * d.var() / mean**2)), 1)


def crossfit(
    loss: ArrayLike, right: ArrayLike, metric: Literal["val_loss", "val_accuracy"] = "val_loss", seed: int = 0
) -> CrossFit:
    """Accuracy of a training whose epoch is chosen on held-out images, with none of them judging its own choice.

    ``loss`` and ``right`` are per epoch and image, (E, N), N > 1. The images are cut by ``seed`` into halves; the epoch
    that one half chooses (lowest mean loss or highest accuracy, the first of equals) is judged on the other, both ways.
    Give all trials of a study the same ``seed``.
    """
    losses, rights = np.asarray(loss, dtype=np.float64), np.asarray(right, dtype=np.bool_)
    if losses.shape != rights.shape or losses.ndim != 2 or losses.shape[0] < 1 or losses.shape[1] < 2:
        raise ValueError(f"expected (epochs, images), two images or more, found {losses.shape} and {rights.shape}")
    cost = losses if metric == "val_loss" else 1.0 - rights
    images = losses.shape[1]
    order = np.random.default_rng(seed).permutation(images)
    halves = (order[: images // 2], order[images // 2 :])
    first, second = (int(cost[:, half].mean(axis=1).argmin()) for half in halves)
    honest = np.empty(images, dtype=np.bool_)
    honest[halves[1]] = rights[first, halves[1]]
    honest[halves[0]] = rights[second, halves[0]]
    whole = int(cost.mean(axis=1).argmin())
    value = float(honest.mean())
    return CrossFit(honest, value, float(rights[whole].mean()) - value, whole, (first, second))
