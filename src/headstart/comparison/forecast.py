"""Forecast of a setting's score with more labels than were tried, from its label curve, with an 80 % interval.

Several families of curves (`forecast_curves`) are fitted to the label curve. Their weights come from back-testing: each
is fitted to the fewest labels alone, and what it predicts for the others is compared with what was measured. The
interval is that of draws: a resample of images and seeds together, a family by its weight, and its fit to the resampled
curve.

A label curve that falls by more than its noise explains has no forecast: real ones do at times (Viering and Loog 2022).
Nothing is forecast beyond ten times the labels tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from sklearn.isotonic import isotonic_regression

from headstart.comparison.forecast_curves import FAMILIES, fit
from headstart.comparison.label_efficiency import labels_for
from headstart.metrics.bootstrap import Floats, Interval, resampled

LEVELS = (0.1, 0.9)
FEWEST_POINTS = 4
"""Label fractions that a forecast needs."""
HORIZON = 10
"""How many times the most labels tried a forecast reaches."""
BENT = 0.05
"""A curve has no forecast where one without a fall would bend as much by its noise with less than this probability."""
LEAST_NOISE = 0.003
"""Of a point, as a standard deviation: no curve family is exact."""
RESAMPLES = 100


@dataclass(frozen=True)
class Declined:
    """Why a label curve has no forecast."""

    reason: str


@dataclass(frozen=True)
class LabelsNeeded:
    """Labels at which the score is forecast to be reached, with the 80 % interval; inf beyond the horizon."""

    value: float
    low: float
    high: float
    horizon: int
    """The most labels that are forecast for."""


@dataclass(frozen=True)
class Forecast:
    """Forecast label curve beyond the labels tried."""

    labels: Floats
    """Label counts, (G,), from the most tried to `HORIZON` times as many."""
    draws: Floats
    """The score at `labels` in each draw, (R, G), not falling with the labels."""
    bend: float
    """By how much isotonic regression had to change the measured curve at most; 0 where it never falls."""
    weights: dict[str, float]
    """Of each family of curves; they sum to 1."""

    def at(self, labels: float) -> Interval:
        """The score with so many labels (median of the draws) and its 80 % interval.

        Raises ValueError for fewer labels than the most tried, and beyond the horizon.
        """
        if not self.labels[0] <= labels <= self.labels[-1]:
            raise ValueError(f"expected {self.labels[0]:.0f} to {self.labels[-1]:.0f} labels, found {labels}")
        place = np.log(self.labels)
        drawn = [float(np.interp(np.log(labels), place, row)) for row in self.draws]
        low, value, high = np.quantile(drawn, (LEVELS[0], 0.5, LEVELS[1]))
        return Interval(float(value), float(low), float(high))

    def band(self) -> tuple[Floats, Floats, Floats]:
        """Median of the draws and both ends of the 80 % interval at `labels`, each (G,)."""
        low, middle, high = np.quantile(self.draws, (LEVELS[0], 0.5, LEVELS[1]), axis=0)
        return middle, low, high

    def labels_needed(self, score: float) -> LabelsNeeded:
        """The labels, in all, with which ``score`` is reached; at least the most tried."""
        found = labels_for(self.labels, self.draws, np.full(len(self.draws), score))
        found = np.maximum(found, self.labels[0])  # 0: reached with what was tried
        low, value, high = np.quantile(found, (LEVELS[0], 0.5, LEVELS[1]), method="inverted_cdf")
        return LabelsNeeded(float(value), float(low), float(high), int(self.labels[-1]))


def forecast(labels: Sequence[int], each: Floats, groups: ArrayLike | None = None) -> Forecast | Declined:
    """The forecast of a label curve of K increasing label counts ``labels``.

    ``each`` (K, S, N) holds for each of them the scores of S seeds on N images, the same in all; their mean is the
    score (`intervals.average`), and ``groups`` (N,) number the group of each image.
    Raises ValueError where the label counts do not increase.
    """
    n = np.asarray(labels, dtype=np.float64)
    if (np.diff(n) <= 0).any():
        raise ValueError(f"expected increasing label counts, found {list(labels)}")
    if len(n) < FEWEST_POINTS:
        return Declined(f"a forecast needs {FEWEST_POINTS} label fractions, found {len(n)}")
    score, drawn = each.mean(axis=(1, 2)), _resampled(each, groups)
    smooth = isotonic_regression(score)
    if _bend_probability(score, drawn) < BENT:
        return Declined("its label curve bends: more labels lower the score by more than chance explains")
    if np.ptp(score) == 0:
        return Declined("its score is the same with all label fractions")
    x, error, noise = n / n[0], 1 - score, _noise(drawn)
    weights = _back_test(x, error, noise)
    grid = np.geomspace(x[-1], HORIZON * x[-1], 40)
    draws = _draws(x, error, noise, weights, 1 - drawn, grid)
    names = {family.name: float(weight) for family, weight in zip(FAMILIES, weights, strict=True)}
    return Forecast(n[0] * grid, draws, float(np.abs(smooth - score).max()), names)


def _resampled(each: Floats, groups: ArrayLike | None = None) -> Floats:
    """The score at each label count in each resample of images (or their groups) and seeds, (R, K).

    The bootstrap variance of S seeds is short by (S - 1) / S, which the weights make up for. Student's quantile, as in
    `intervals`, is not needed: all points of the curve tell of the variance between seeds.
    """
    points, seeds, images = each.shape
    group = np.unique(np.arange(images) if groups is None else np.asarray(groups), return_inverse=True)[1]
    weight = np.concatenate(list(resampled(int(group.max()) + 1, RESAMPLES, 0)))[:, group]
    means = (weight @ each.reshape(-1, images).T / weight.sum(axis=1, keepdims=True)).reshape(-1, points, seeds)
    drawn = np.random.default_rng(1).integers(0, seeds, (RESAMPLES, seeds))
    share = (drawn[:, :, None] == np.arange(seeds)).mean(axis=1)
    wider = np.sqrt(seeds / max(seeds - 1, 1))
    return np.asarray(np.einsum("rks,rs->rk", means, 1 / seeds + (share - 1 / seeds) * wider))


def _noise(drawn: Floats) -> Floats:
    """Standard deviation of each point, (K,), without what all points of a resample have in common (the images)."""
    own = drawn - drawn.mean(axis=1, keepdims=True)
    return np.asarray(np.maximum(own.std(axis=0), LEAST_NOISE))


def _bend_probability(score: Floats, drawn: Floats) -> float:
    """Probability that the noise bends the isotonic curve, which never falls, as much as ``score`` (K,) is bent."""
    smooth, noise = isotonic_regression(score), drawn - drawn.mean(axis=0)
    bend = np.square(score - smooth).sum()
    by_noise = [np.square(curve - isotonic_regression(curve)).sum() for curve in smooth + noise]
    return float(np.mean(np.array(by_noise) >= bend)) if bend > 0 else 1.0


def _back_test(x: Floats, error: Floats, noise: Floats) -> Floats:
    """Weight of each family, (F,): 1 / (1 + the mean square of its back-testing errors, in units of the noise)^2.

    Each family is fitted to the first k points, at least three and half of them, and compared at the others.
    """
    cuts = range(max(3, len(x) // 2), len(x))
    off = [
        np.concatenate(
            [(family.error(fit(family, x[:k], error[:k], noise[:k]), x[k:]) - error[k:]) / noise[k:] for k in cuts]
        )
        for family in FAMILIES
    ]
    weights = 1 / np.square(1 + np.square(off).mean(axis=1))
    return np.asarray(weights / weights.sum())


def _draws(x: Floats, error: Floats, noise: Floats, weights: Floats, errors: Floats, grid: Floats) -> Floats:
    """Scores at ``grid`` (G,) in each draw, (R, G): a family, fitted to one of the resampled ``errors`` (R, K)."""
    chosen = np.random.default_rng(0).choice(len(FAMILIES), len(errors), p=weights)
    starts = {i: fit(FAMILIES[i], x, error, noise) for i in sorted(set(chosen))}
    found = [
        FAMILIES[i].error(fit(FAMILIES[i], x, resampled, noise, starts[i]), grid)
        for i, resampled in zip(chosen, errors, strict=True)
    ]
    return np.maximum.accumulate(1 - np.array(found), axis=1)  # against rounding
