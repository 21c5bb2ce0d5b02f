"""Variance components of scores with two crossed sources of variance, training seeds and evaluation images.

The scores of a cell (a setting with a label fraction) are x_ki for seeds k = 1..S and images i = 1..N: the same images
evaluate every seed, and the same seeds (with their subsets of the labels) train every setting. For any contrast
d = sum_c w_c x_c of cells, such as the difference of two settings, the two-way random-effects layout without
replication has the mean squares of seeds, images and residual, and the mean of d the variance

    (max(MS_s, MS_r) + max(MS_i - MS_r, 0)) / (S N)

with Satterthwaite's degrees of freedom for its two terms. It is the variance of readers over the same cases (Hillis
2007, *A comparison of denominator degrees of freedom methods for multiple observer ROC analysis*, Statistics in
Medicine 26:596), and of which the crossed ("pigeonhole") bootstrap is the resampled form (Owen 2007, Annals of
Applied Statistics 1:386). MS_s is clipped to MS_r, its expectation where seeds make no difference: seeds that agree by
chance do not narrow an interval. With one seed there is the variance between images alone.

A few seeds say little about their own variance: with three, Student's quantile of one comparison alone is 4.3. The
comparisons of a study are many, and their seeds vary alike: `SeedPrior` moves each MS_s toward the mean of all, with at
most the weight of twice its own degrees of freedom, which it adds to them (moderated t-statistics; Smyth 2004,
Statistical Applications in Genetics and Molecular Biology 3:3).

Images in groups (patients, videos) are not independent: a group then takes the place of an image, with the linearized
value x + G (T_g - n_g x) / N of its sum T_g over n_g images (the variance of a ratio, as in cluster sampling; Cochran
1977, *Sampling Techniques*, section 9A). So do seeds that start from the same pre-training, where there are several.

With K-fold cross-validation the training sets overlap, and what they have in common does not show between images: the
variance between images, MS_i - MS_r, counts K / (K - 1) times. That is what remains of the correction of Nadeau and
Bengio (2003, Machine Learning 52:239), (1 / J + 1 / (K - 1)) of the variance of folds, for many repetitions J.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import digamma, polygamma
from scipy.stats import t

from headstart.metrics.bootstrap import Floats
from headstart.metrics.shares import MANY


@dataclass(frozen=True)
class Contrasts:
    """M contrasts of cells, each array (M,)."""

    value: Floats
    error: Floats
    """Standard error over seeds and images."""
    freedom: Floats
    """Its degrees of freedom."""
    new_error: Floats
    """Standard deviation of the contrast of one new seed on a new sample of as many images."""
    image_share: Floats
    """Share of the variance that more seeds would not reduce, 0 to 1; 1 with one seed, where that is unknown."""

    def quantile(self, level: float) -> Floats:
        """Student's two-sided quantile, (M,)."""
        return np.asarray(t.ppf(1 - level / 2, self.freedom))


@dataclass(frozen=True)
class SeedPrior:
    """What the comparisons of a study say together about the mean square of seeds of any one of them."""

    mean: float
    """Mean of MS_s over the comparisons; of a difference of two cells."""
    freedom: float
    """Degrees of freedom that it is worth, as a multiple of a comparison's own S - 1; at most `PRIOR_WEIGHT`."""


PRIOR_WEIGHT = 2.0
"""The most that the other comparisons count against one's own seeds."""
FEWEST = 4
"""Comparisons below which there is no prior."""


def seed_prior(mean_squares: Sequence[float], freedom: Sequence[int]) -> SeedPrior | None:
    """The prior from MS_s of M comparisons with their degrees of freedom S - 1; None where they are too few.

    The more the mean squares differ beyond what their degrees of freedom explain, the less it weighs: the variance of
    log MS_s is trigamma(freedom / 2) + trigamma(prior / 2) (Smyth 2004, section 6.2).
    """
    squares, own = np.array(mean_squares, dtype=np.float64), np.array(freedom, dtype=np.float64)
    squares, own = squares[own > 0], own[own > 0]
    if len(own) < FEWEST or squares.mean() <= 0:
        return None
    log = np.log(np.maximum(squares, 1e-3 * squares.mean())) - digamma(own / 2) + np.log(own / 2)
    excess = float(log.var(ddof=1) - polygamma(1, own / 2).mean())
    weights = np.linspace(0.05, PRIOR_WEIGHT, 40)
    # Of the weights tried, the largest that explains the excess: trigamma falls as the weight grows.
    explains = polygamma(1, weights * own.mean() / 2) >= excess
    return SeedPrior(float(squares.mean()), float(weights[explains].max()) if explains.any() else 0.0)


class Crossed:
    """Mean squares and products of C cells over seeds and images.

    ``cells`` (C, S, N) are scores of the same S seeds and N images in each cell; ``groups`` (N,) numbers the group of
    each image, None where each is its own, and ``clusters`` (S,) the pre-training of each seed. Contrasts of ``binary``
    scores get the half of Agresti and Min (2005, Statistics in Medicine 24:729) added to both discordant counts: pairs
    without a discordant image have no variance.
    """

    def __init__(
        self, cells: ArrayLike, groups: ArrayLike | None = None, clusters: ArrayLike | None = None, *, folds: int = 1
    ) -> None:
        x = np.asarray(cells, dtype=np.float64)
        self.binary = bool(((x == 0) | (x == 1)).all())
        self.mean: Floats = x.mean(axis=(1, 2))
        if groups is not None:
            x = grouped(x, np.asarray(groups))
        if clusters is not None:
            x = grouped(x.swapaxes(1, 2), np.asarray(clusters)).swapaxes(1, 2)
        self.seeds, self.units = x.shape[1:]
        of_seed, of_unit = x.mean(axis=2), x.mean(axis=1)
        a, b = of_seed - self.mean[:, None], of_unit - self.mean[:, None]
        seeds, units = max(self.seeds - 1, 1), max(self.units - 1, 1)
        self.of_unit: Floats = b
        """Deviation of each image or group from the mean, over the seeds: (C, N)."""
        self._seeds = self.units * (a @ a.T) / seeds
        self._images = self.seeds * (b @ b.T) / units
        self._overlap = folds / (folds - 1) if folds > 1 else 1.0
        rest = x - of_seed[:, :, None] - of_unit[:, None, :] + self.mean[:, None, None]
        rest = rest.reshape(len(x), -1)
        self._rest = rest @ rest.T / (seeds * units)

    def contrast(self, weights: ArrayLike, prior: SeedPrior | None = None) -> Contrasts:
        """The contrasts with ``weights`` (M, C); ``prior`` is what other comparisons say about the seeds."""
        w = np.atleast_2d(np.asarray(weights, dtype=np.float64))
        seeds, images, rest = (
            np.maximum(np.einsum("mc,cd,md->m", w, each, w), 0.0) for each in (self._seeds, self._images, self._rest)
        )
        count = self.seeds * self.units
        if self.seeds == 1:
            total, freedom, limit = images * self._overlap, np.full(len(w), max(self.units - 1.0, 1.0)), np.ones(len(w))
            new = np.sqrt(total / self.units)
        else:
            own = self.seeds - 1.0
            if prior is not None:
                seeds = (seeds + prior.freedom * prior.mean * np.square(w).sum(axis=1) / 2) / (1 + prior.freedom)
                own *= 1 + prior.freedom
            clipped, excess = np.maximum(seeds, rest), self._overlap * np.maximum(images - rest, 0.0)
            total = clipped + excess
            spread = seeds**2 / own + excess**2 / max(self.units - 1, 1)
            freedom = np.divide(total**2, spread, out=np.full(len(w), MANY), where=spread > 0)
            limit = np.divide(excess, total, out=np.zeros(len(w)), where=total > 0)
            new = np.sqrt(clipped / self.units + excess / count)
        variance = total / count
        balanced = np.isclose(w.sum(axis=1), 0)
        unseen = balanced & (self.binary | (variance == 0))
        variance = variance + unseen / (self.seeds * (self.units + 2) ** 2)
        return Contrasts(w @ self.mean, np.sqrt(variance), np.minimum(freedom, MANY), new, limit)

    def mean_square(self, weights: ArrayLike) -> float:
        """MS_s of one contrast, (C,); 0 with one seed."""
        w = np.asarray(weights, dtype=np.float64)
        return max(float(w @ self._seeds @ w), 0.0) if self.seeds > 1 else 0.0

    @property
    def seed_error(self) -> Floats:
        """Standard deviation of each cell's mean over seeds that is due to the seeds alone, (C,)."""
        if self.seeds == 1:
            return np.zeros(len(self.mean))
        excess = np.maximum(np.diag(self._seeds) - np.diag(self._rest), 0.0)
        return np.asarray(np.sqrt(excess / (self.seeds * self.units)))


def grouped(cells: Floats, groups: NDArray[np.int64]) -> Floats:
    """Scores (C, S, N) -> linearized values of G groups (C, S, G) of the same means; ``groups`` (N,) numbers them."""
    known, position, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    member = np.zeros((len(groups), len(known)))
    member[np.arange(len(groups)), position] = 1.0
    mean = cells.mean(axis=2, keepdims=True)
    return np.asarray(mean + len(known) * (cells @ member - mean * sizes) / len(groups))
