"""Simultaneous confidence: the level at which all comparisons of a family hold together, and the bias of a winner.

The level is that of the least p-value (balanced max-t; Beran 1988, *Balanced simultaneous confidence sets*, JASA
83:679; Westfall and Young 1993, *Resampling-based multiple testing*): each comparison's deviation in a resample is
divided by its own standard deviation, so that all have the same distribution, and the level is the 5 % quantile of the
smallest p-value over the family. It lies between 5 % and Bonferroni's 5 % / M. Each interval then has Student's
quantile of this level with its own degrees of freedom.

A resample draws the images (or groups) with replacement, the same for all cells, and for each cell a deviation of its
seeds, independent of the other cells': S seeds could show no more than S - 1 independent directions, and comparisons
that seem to move together need less correction.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from headstart.metrics.bootstrap import Floats, resampled
from headstart.metrics.shares import LEVEL


def deviations(of_unit: Floats, seed_error: ArrayLike, resamples: int, seed: int = 0) -> Floats:
    """Deviation of C cells from their means in each resample of images and seeds, (R, C).

    ``of_unit`` (C, N) are the cells' deviations per image or group, ``seed_error`` (C,) the standard deviations of
    their means over seeds (`crossed.Crossed`).
    """
    units = of_unit.shape[1]
    images = np.concatenate([counts @ of_unit.T / units for counts in resampled(units, resamples, seed)])
    seeds = np.random.default_rng([seed, 1]).standard_normal(images.shape) * np.asarray(seed_error)
    return np.asarray(images + seeds)


def family_level(deviation: Floats, pairs: Sequence[tuple[int, int]], level: float = LEVEL) -> float:
    """The level of each comparison with which all ``pairs`` of cells hold together, 95 % unless ``level`` is another.

    ``deviation`` (R, C) as from `deviations`; a pair (i, j) is the comparison of cell i with cell j.
    """
    if len(pairs) < 2:
        return level
    one, two = np.array(pairs).T
    apart = deviation[:, one] - deviation[:, two]
    spread = apart.std(axis=0)
    apart = apart[:, spread > 0] / spread[spread > 0]
    if not apart.shape[1]:
        return level / len(pairs)
    least = 2 * norm.sf(np.abs(apart).max(axis=1))
    return float(np.clip(np.quantile(least, level), level / len(pairs), level))


def winner_bias(means: ArrayLike, deviation: Floats) -> float:
    """By how much the highest of C scores is too high on average, because it was named after looking.

    ``means`` (C,) are the scores, ``deviation`` (R, C) as from `deviations`: in each resample the highest is named, and
    its deviation is what chance added to it.
    """
    named = (np.asarray(means) + deviation).argmax(axis=1)
    return float(deviation[np.arange(len(deviation)), named].mean())
