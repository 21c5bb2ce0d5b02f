"""Confidence intervals of shares from 0 to 1 that keep their coverage near 0 and 1, and never have zero width.

A bootstrap of 20 images that are all predicted correctly is [100 %, 100 %], and covers the true accuracy never. The
interval of Agresti and Coull (1998, *Approximate is better than "exact" for interval estimation of binomial
proportions*, The American Statistician 52:119) with Student's quantile holds at least 94 % for 10 images and more, up
to an accuracy of 1 (`benchmarks/coverage.py`). Where the images are not independent draws, their number is replaced by
the effective sample size, the one at which independent images would have the same standard error (Korn and Graubard
1998, Survey Methodology 24:193; Franco et al. 2019, Journal of Survey Statistics and Methodology 7:334).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t

from headstart.metrics.bootstrap import Interval

LEVEL = 0.05
"""One minus the confidence."""
MANY = 1e6
"""Degrees of freedom from which Student's distribution is the normal one."""


def share_interval(value: float, error: float, units: float, freedom: float = np.inf, level: float = LEVEL) -> Interval:
    """The interval of a share ``value`` with the standard error ``error``, estimated with ``freedom`` degrees.

    ``units`` is the number of independent images (or groups of images): the effective sample size where the standard
    error says nothing, because all images have the same score.
    """
    spread = value * (1 - value)
    effective = spread / error**2 if spread > 0 and error > 0 else units
    quantile = float(t.ppf(1 - level / 2, min(freedom, MANY)))
    size = effective + quantile**2
    center = (effective * value + quantile**2 / 2) / size
    half = quantile * np.sqrt(center * (1 - center) / size)
    return Interval(value, float(max(min(center - half, value), 0.0)), float(min(max(center + half, value), 1.0)))


def mean_share(each: ArrayLike) -> Interval:
    """The mean of one value from 0 to 1 per image, (N,), N > 0, with its interval over images."""
    values = np.asarray(each, dtype=np.float64)
    error = float(np.sqrt(values.var(ddof=1) / len(values))) if len(values) > 1 else 0.0
    return share_interval(float(values.mean()), error, len(values), max(len(values) - 1, 1))
