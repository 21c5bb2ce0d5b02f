"""What pre-training is worth in labels.

    worth of setting s at n labels = n* / n,  where  acc_A(n*) = acc_s(n)

acc is the accuracy (of masks, the mean IoU), and acc_A the curve of setting A, training from scratch: isotonic
regression of its means over the label fractions (more labels do not harm), and straight lines over log n between them.
Where the curve is flat, n* is the smallest number of labels that will do, the least flattering. Beyond the data nothing
is extrapolated: "more than N/n" when A never reaches it with all N labels, "less than n_min/n" when it lies below A's
smallest point.
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
ALIKE = 1e-9
"""Scores that differ by less are equal: rounding in the isotonic regression."""


@dataclass(frozen=True)
class Beyond:
    """Which of a worth's three figures are bounds only, because they lie beyond the data."""

    value: Side = ""
    low: Side = ""
    high: Side = ""

    def __bool__(self) -> bool:
        return bool(self.value or self.low or self.high)


@dataclass(frozen=True)
class LabelMultiplier:
    """How many times its labels a setting is worth; a figure beyond the data is the last one within it."""

    value: float
    low: float
    high: float
    beyond: Beyond
    least: float
    """n_min/n: below it A has no point."""
    most: float
    """N/n: above it A has no point."""

    @property
    def text(self) -> str:
        """'7.4', 'more than 10'."""
        return _times(self.value, self.beyond.value)

    @property
    def interval_text(self) -> str:
        """'5.1 to more than 10'; 'more than 10' when both ends are beyond the data on one side."""
        if self.beyond.low and self.beyond.low == self.beyond.high:
            return _times(self.low, self.beyond.low)
        return f"{_times(self.low, self.beyond.low)} to {_times(self.high, self.beyond.high)}"

    @property
    def short(self) -> str:
        """'7.4 (5.1..>10)', for a narrow column."""
        long = f"{self.text} ({self.interval_text})"
        return long.replace("more than ", ">").replace("less than ", "<").replace(" to ", "..")

    @property
    def harms(self) -> bool:
        """Whether the whole interval lies below 1: fewer labels from scratch would do."""
        return self.beyond.high != "more" and (self.high < 1 or (self.high == 1 and self.beyond.high == "less"))

    @property
    def helps(self) -> bool:
        """Whether the whole interval lies above 1."""
        return self.beyond.low != "less" and (self.low > 1 or (self.low == 1 and self.beyond.low == "more"))

    def sentence(self, doing: str, n: int, fraction: float) -> str:
        """The worth in words; ``doing`` is what the setting does, ``n`` its labels, ``fraction`` of all there are."""
        total = n / fraction
        start = f"{doing[0].upper()}{doing[1:]} with {percent(fraction)} of your labels ({n:,})"
        tail = f"{self.text} times the labels (95 % interval {self.interval_text})."
        if self.beyond.value == "more":
            most = n * self.most
            what = "all of them" if round(most) >= round(total) else f"{percent(most / total)} of them, the most tried"
            if self.most == 1 and fraction == 1:
                return f"{start} beats training from scratch with as many: worth {tail}"
            return f"{start} beats training from scratch with {what} ({most:,.0f}): worth {tail}"
        if self.beyond.value == "less":
            least = n * self.least
            return (
                f"{start} falls short of training from scratch with {percent(least / total)} ({least:,.0f}), the fewest"
                f" tried: worth {tail}"
            )
        return f"{start} equals training from scratch with {percent(self.value * fraction)}: worth {tail}"


def label_multiplier(
    labels: Sequence[int], of_a: ArrayLike, n: int, value: float, drawn_a: ArrayLike, drawn: ArrayLike
) -> LabelMultiplier:
    """The worth of a score ``value`` at ``n`` labels, given A's mean scores ``of_a``, (K,), at rising ``labels``.

    ``drawn_a`` (R, K) and ``drawn`` (R,) are the same figures in R resamples of seeds and images together
    (`compare.over_seeds`): the interval is that of the R worths.
    """
    at = np.asarray(labels, dtype=np.float64)
    if not len(at) or (np.diff(at) <= 0).any() or at[0] <= 0:
        raise ValueError(f"expected label counts that rise, found {list(labels)}")
    first = labels_for(at, monotone(np.atleast_2d(of_a)), np.array([value]))
    each = labels_for(at, monotone(np.asarray(drawn_a, dtype=np.float64)), np.asarray(drawn, dtype=np.float64))
    low, high = np.quantile(each, LEVELS, method="inverted_cdf")
    ends = (float(first[0]), float(low), float(high))
    times = [float(np.clip(end, at[0], at[-1])) / n for end in ends]
    beyond = Beyond(*map(_side, ends))
    return LabelMultiplier(times[0], times[1], times[2], beyond, least=float(at[0]) / n, most=float(at[-1]) / n)


def _side(labels: float) -> Side:
    if labels == 0:
        return "less"
    return "more" if np.isinf(labels) else ""


def monotone(means: Floats) -> Floats:
    """The rising curves nearest to the means, (R, K): isotonic regression, each mean with the same weight."""
    falling = (np.diff(means, axis=1) < 0).any(axis=1)
    curves = means.copy()
    for row in np.flatnonzero(falling):
        curves[row] = isotonic_regression(means[row])
    return curves


def labels_for(labels: Floats, curves: Floats, values: Floats) -> Floats:
    """The fewest labels at which each rising curve (R, K) reaches its value (R,); 0 below the curve, inf above."""
    at = np.log(labels)
    found = np.full(len(values), np.inf)
    for k in reversed(range(len(at))):
        reached = curves[:, k] >= values - ALIKE
        found = np.where(reached, at[k], found)
        if k:
            rise = curves[:, k] - curves[:, k - 1]
            share = np.divide(values - curves[:, k - 1], rise, out=np.ones_like(rise), where=rise > ALIKE)
            between = at[k - 1] + np.clip(share, 0, 1) * (at[k] - at[k - 1])
            found = np.where(reached, between, found)
    found = np.where(values < curves[:, 0] - ALIKE, -np.inf, found)
    return np.asarray(np.exp(found).round(9))  # the logarithm of 1000 is not that of 999.9999999999998


def percent(fraction: float) -> str:
    """``0.1`` -> '10 %', ``0.025`` -> '2.5 %'."""
    return f"{100 * fraction:.3g} %" if fraction < 0.0995 else f"{100 * fraction:.0f} %"


def _times(value: float, side: Side) -> str:
    figure = f"{value:.2f}" if value < 0.995 else f"{value:.1f}" if value < 9.95 else f"{value:.0f}"
    figure = figure.removesuffix(".0")
    return f"{side} than {figure}" if side else figure
