"""The label multiplier: how many times more labels training from scratch needs for the same score.

    label multiplier of setting s at n labels = n* / n,  where  score_A(n*) = score_s(n)

The score is the accuracy (for segmentation, the mean IoU), and score_A the learning curve of setting A, training from
scratch: isotonic regression of its means over the label fractions (more labels do not hurt), and linear interpolation
over log n between them. Where the curve is flat, n* is the smallest number of labels that reaches the score, the least
flattering. Nothing is extrapolated: "> N/n" when A does not reach the score with all N labels, "< n_min/n" when the
score lies below A's curve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.isotonic import isotonic_regression

from headstart.comparison.intervals import LEVELS
from headstart.metrics.bootstrap import Floats

Side = Literal["less", "", "more"]
"""Whether a value is only a bound because it lies beyond A's curve: the true one is less, or more."""
ROUNDING = 1e-9
"""Scores that differ by less are equal: rounding in the isotonic regression."""


@dataclass(frozen=True)
class LabelMultiplier:
    """n*/n with its 95 % confidence interval; a value beyond A's curve is the nearest one on it, and marked so."""

    value: float
    low: float
    high: float
    beyond: Side = ""
    low_beyond: Side = ""
    high_beyond: Side = ""
    lower_limit: float = 0.0
    """n_min/n: A has no point below."""
    upper_limit: float = np.inf
    """N/n: A has no point above."""

    @property
    def text(self) -> str:
        """'7.4', '> 10'."""
        return _bounded(self.value, self.beyond)

    @property
    def interval_text(self) -> str:
        """'5.1 to > 10'; '> 10' when both ends lie beyond the curve on one side."""
        if self.low_beyond and self.low_beyond == self.high_beyond:
            return _bounded(self.low, self.low_beyond)
        return f"{_bounded(self.low, self.low_beyond)} to {_bounded(self.high, self.high_beyond)}"

    @property
    def above_one(self) -> bool:
        """Whether the whole interval lies above 1: training from scratch needs more labels."""
        return self.low_beyond != "less" and (self.low > 1 or (self.low == 1 and self.low_beyond == "more"))

    @property
    def below_one(self) -> bool:
        """Whether the whole interval lies below 1: training from scratch needs fewer labels."""
        return self.high_beyond != "more" and (self.high < 1 or (self.high == 1 and self.high_beyond == "less"))


def label_multiplier(
    labels: Sequence[int], of_a: ArrayLike, n: int, value: float, drawn_a: ArrayLike, drawn: ArrayLike
) -> LabelMultiplier:
    """The label multiplier of a score ``value`` at ``n`` labels.

    ``of_a`` (K,) are A's mean scores at the increasing label counts ``labels`` (K,). ``drawn_a`` (R, K) and ``drawn``
    (R,) are the same scores in R resamples of seeds and images together (`intervals.resample_seeds`); the interval is
    the percentile interval of the R multipliers. Raises ValueError where ``labels`` do not increase.
    """
    at = np.asarray(labels, dtype=np.float64)
    if not len(at) or (np.diff(at) <= 0).any() or at[0] <= 0:
        raise ValueError(f"expected increasing label counts, found {list(labels)}")
    first = labels_for(at, monotone(np.atleast_2d(of_a)), np.array([value]))
    each = labels_for(at, monotone(np.asarray(drawn_a, dtype=np.float64)), np.asarray(drawn, dtype=np.float64))
    low, high = np.quantile(each, LEVELS, method="inverted_cdf")
    ends = (float(first[0]), float(low), float(high))
    times = [float(np.clip(end, at[0], at[-1])) / n for end in ends]
    limits = float(at[0]) / n, float(at[-1]) / n
    return LabelMultiplier(times[0], times[1], times[2], _side(ends[0]), _side(ends[1]), _side(ends[2]), *limits)


def _side(labels: float) -> Side:
    if labels == 0:
        return "less"
    return "more" if np.isinf(labels) else ""


def monotone(means: Floats) -> Floats:
    """Isotonic regression of each row of ``means`` (R, K), equal weights: the nearest non-decreasing curves, (R, K)."""
    falling = (np.diff(means, axis=1) < 0).any(axis=1)
    curves = means.copy()
    for row in np.flatnonzero(falling):
        curves[row] = isotonic_regression(means[row])
    return curves


def labels_for(labels: Floats, curves: Floats, values: Floats) -> Floats:
    """The fewest labels at which each non-decreasing curve (R, K) over ``labels`` (K,) reaches its value, (R,).

    0 where the value lies below the curve, inf where above.
    """
    at = np.log(labels)
    found = np.full(len(values), np.inf)
    for k in reversed(range(len(at))):
        reached = curves[:, k] >= values - ROUNDING
        found = np.where(reached, at[k], found)
        if k:
            rise = curves[:, k] - curves[:, k - 1]
            share = np.divide(values - curves[:, k - 1], rise, out=np.ones_like(rise), where=rise > ROUNDING)
            between = at[k - 1] + np.clip(share, 0, 1) * (at[k] - at[k - 1])
            found = np.where(reached, between, found)
    found = np.where(values < curves[:, 0] - ROUNDING, -np.inf, found)
    return np.asarray(np.exp(found).round(9))  # the logarithm of 1000 is not that of 999.9999999999998


def _bounded(value: float, side: Side) -> str:
    digits = f"{value:.2f}" if value < 0.995 else f"{value:.1f}" if value < 9.95 else f"{value:.0f}"
    return {"less": "< ", "": "", "more": "> "}[side] + digits.removesuffix(".0")
