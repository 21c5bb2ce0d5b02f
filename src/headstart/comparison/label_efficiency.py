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
from scipy.stats import t
from sklearn.isotonic import isotonic_regression

from headstart.comparison.crossed import Contrasts, Crossed, SeedPrior
from headstart.comparison.intervals import Difference
from headstart.metrics.bootstrap import Floats

Side = Literal["less", "", "more"]
"""Whether a value is only a bound because it lies beyond A's curve: the true one is less, or more."""
SHARES: Floats = np.linspace(0, 1, 33)
"""Places between two points of A's curve where a setting is compared with it."""
ROUNDING = 1e-9
"""Scores that differ by less are equal: rounding in the isotonic regression."""


@dataclass(frozen=True)
class LabelMultiplier:
    """n*/n with its confidence interval; a value beyond A's curve is the nearest one on it, and marked so."""

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


def stretch(
    setting: ArrayLike,
    fewer: ArrayLike,
    more: ArrayLike,
    groups: ArrayLike | None = None,
    prior: SeedPrior | None = None,
    clusters: ArrayLike | None = None,
    *,
    folds: int = 1,
) -> Contrasts:
    """A setting minus A's curve at `SHARES` of the way between two of its points; scores (S, N) of the same seeds."""
    cells = np.stack([np.asarray(each, dtype=np.float64) for each in (setting, fewer, more)])
    crossed = Crossed(cells, groups, clusters, folds=folds)
    return crossed.contrast(np.stack([np.ones(len(SHARES)), SHARES - 1, -SHARES], axis=1), prior)


def label_multiplier(
    curve: Sequence[tuple[int, float]], n: int, value: float, stretches: Sequence[Contrasts | None], delta: Difference
) -> LabelMultiplier | None:
    """The label multiplier of a score ``value`` at ``n`` labels, one of A's points.

    ``curve`` are A's K points (labels, mean score), ``stretches`` compare the setting with it between each and the next
    (`stretch`; None without a common seed), and ``delta`` with A at n. The interval are the multipliers m for which the
    setting and A's curve at m n do not differ significantly, at the level of ``delta`` (inversion of the test, as
    Fieller 1954, JRSS B 16:175, for a ratio of means). It excludes 1 exactly where ``delta`` excludes 0. None where the
    means' curve contradicts ``delta``: with so uneven a curve there is no multiplier. Raises ValueError where the
    labels do not increase.
    """
    at = np.array([labels for labels, _ in curve], dtype=np.float64)
    if not len(at) or (np.diff(at) <= 0).any() or at[0] <= 0:
        raise ValueError(f"expected increasing label counts, found {at.tolist()}")
    means = np.array([[score for _, score in curve]])
    times = float(labels_for(at, monotone(means), np.array([value]))[0]) / n
    sign = (1 if delta.value > 0 else -1) if delta.significant else 0
    if sign * (times - 1) < 0 or (sign and times == 1):
        return None
    low, high = _ends(*_compared(at, n, stretches, delta), sign)
    limits = float(at[0]) / n, float(at[-1]) / n
    ends = times, min(low, times), max(high, times)
    clipped = [float(np.clip(end, *limits)) for end in ends]
    sides = [_side(end) for end in ends]
    return LabelMultiplier(clipped[0], clipped[1], clipped[2], sides[0], sides[1], sides[2], *limits)


def _compared(at: Floats, n: int, stretches: Sequence[Contrasts | None], delta: Difference) -> tuple[Floats, Floats]:
    """Increasing multipliers, and how far the setting lies above A's curve there; just significant is 1 or -1."""
    margin = delta.error * float(t.ppf(1 - delta.level / 2, delta.freedom))
    found = [(np.array([1.0]), np.array([delta.value / margin if margin > 0 else 0.0]))]
    for k, each in enumerate(stretches):
        if each is not None:
            times = np.exp(np.log(at[k]) + SHARES * np.log(at[k + 1] / at[k])) / n
            margins = each.error * each.quantile(delta.level)
            ratio = np.divide(each.value, margins, out=np.zeros_like(margins), where=margins > 0)
            other = ~np.isclose(times, 1.0)  # at 1, delta's comparison is the one
            found.append((times[other], ratio[other]))
    times, ratio = (np.concatenate(each) for each in zip(*found, strict=True))
    order = np.argsort(times, kind="stable")
    return times[order], ratio[order]


def _ends(times: Floats, ratio: Floats, sign: int) -> tuple[float, float]:
    """The least and the greatest multiplier that is not rejected; 0 and inf where A's curve does not reach so far.

    Where the setting differs significantly from A with the same labels (``sign`` 1 or -1), more labels do not hurt:
    then nothing on the other side of 1 comes into question, even where chance has bent the curve.
    """
    asked = times >= 1 if sign > 0 else times <= 1 if sign < 0 else np.ones(len(times), dtype=bool)
    times, ratio = np.log(times[asked]), ratio[asked]
    not_above, not_below = np.flatnonzero(ratio <= 1), np.flatnonzero(ratio >= -1)
    low, high = -np.inf, np.inf
    if not len(not_above):
        low = np.inf
    elif not_above[0] > 0:
        low = _crossing(times, ratio, not_above[0] - 1, 1.0)
    if not len(not_below):
        high = -np.inf
    elif not_below[-1] < len(times) - 1:
        high = _crossing(times, ratio, not_below[-1], -1.0)
    return float(np.exp(low)), float(np.exp(high))


def _crossing(times: Floats, ratio: Floats, k: int, level: float) -> float:
    """Where the line from point k to the next is at ``level``."""
    return float(times[k] + (times[k + 1] - times[k]) * (ratio[k] - level) / (ratio[k] - ratio[k + 1]))


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
