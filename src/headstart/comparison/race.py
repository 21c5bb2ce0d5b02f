"""A race of backbones: which of them a round drops, as a function of arrays.

A round compares all backbones that are left on the same images and seeds. It drops those that are *significantly*
worse than another: all differences of a race, over all pairs and rounds, hold together with 95 % (the level of a round
is 5 % by the number of rounds, the level of a pair that of `comparison.simultaneous`). So with at least 95 % no
backbone is dropped that is not worse, at that round's labels, than another one that was compared with it.

Label curves cross: worse with a quarter of the labels need not be worse with all. In a round with fewer than all labels
a backbone is therefore dropped only where it is worse by more than a margin, that is, where its whole interval is.
Which two backbones are compared last, fine-tuned, is a choice by score among those that are left.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import kendalltau

from headstart.comparison.crossed import Crossed, seed_prior
from headstart.comparison.intervals import Difference, average, difference_of
from headstart.comparison.simultaneous import deviations, family_level
from headstart.metrics.bootstrap import Interval
from headstart.metrics.shares import LEVEL

RESAMPLES = 2000


@dataclass(frozen=True)
class Comparison:
    """C backbones on the same images and seeds."""

    scores: tuple[Interval, ...]
    """Accuracy of each, with its own 95 % interval."""
    differences: Mapping[tuple[int, int], Difference]
    """(i, j) -> accuracy of i minus that of j, for i < j; their intervals hold together, those of other rounds too."""

    def difference(self, one: int, other: int) -> Interval:
        """Accuracy of ``one`` minus that of ``other``, with its simultaneous interval."""
        if one < other:
            return self.differences[one, other].interval
        found = self.differences[other, one].interval
        return Interval(0.0 - found.value, 0.0 - found.high, 0.0 - found.low)  # no -0.0

    def worse(self, margin: float = 0.0) -> tuple[int, ...]:
        """Those significantly worse than another one, by more than ``margin`` (0.02: 2 points)."""
        every = range(len(self.scores))
        return tuple(
            one for one in every if any(self.difference(other, one).low > margin for other in every if other != one)
        )

    @property
    def ranking(self) -> tuple[int, ...]:
        """All, the highest accuracy first; of equals the first."""
        return tuple(sorted(range(len(self.scores)), key=lambda each: -self.scores[each].value))


def compare(
    cells: ArrayLike, groups: Sequence[int] | None = None, *, rounds: int = 1, resamples: int = RESAMPLES
) -> Comparison:
    """Compare C backbones: ``cells`` (C, S, N) are 1 where a prediction is correct, for the same S seeds and N images.

    ``groups`` (N,) numbers the group of each image; None where the images are independent. ``rounds`` is the number of
    rounds of the race, over which the 95 % are shared. Raises ValueError for another shape.
    """
    x = np.asarray(cells, dtype=np.float64)
    if x.ndim != 3 or not x.size:
        raise ValueError(f"expected backbones x seeds x images, found the shape {x.shape}")
    pairs = list(itertools.combinations(range(len(x)), 2))
    crossed = Crossed(x, groups)
    weights = {pair: _contrast(pair, len(x)) for pair in pairs}
    freedom = x.shape[1] - 1
    prior = seed_prior([crossed.mean_square(each) for each in weights.values()], [freedom] * len(pairs))
    spread = deviations(crossed.of_unit, crossed.seed_error, resamples)
    level = family_level(spread, pairs, LEVEL / rounds)
    return Comparison(
        scores=tuple(average(each, groups) for each in x),
        differences={
            pair: difference_of(crossed.contrast([each], prior), x.shape[2], x.shape[1], level)
            for pair, each in weights.items()
        },
    )


def _contrast(pair: tuple[int, int], count: int) -> list[float]:
    weights = [0.0] * count
    weights[pair[0]], weights[pair[1]] = 1.0, -1.0
    return weights


@dataclass(frozen=True)
class RankingError:
    """How far a guess of the ranking was off, against measured accuracies of the same backbones."""

    tau: float
    """Kendall's tau-b: 1 for the same order, 0 for none, -1 for the reverse."""
    regret: float
    """Accuracy of the best minus that of the first guess."""
    first: int
    """The first guess."""


def ranking_error(guess: ArrayLike, accuracy: ArrayLike) -> RankingError | None:
    """How far ``guess`` (C,), the higher the better, orders C backbones otherwise than ``accuracy`` (C,) does.

    None for fewer than two, or where all are equal.
    """
    guessed, measured = np.asarray(guess, dtype=np.float64), np.asarray(accuracy, dtype=np.float64)
    if len(guessed) < 2 or np.ptp(guessed) == 0 or np.ptp(measured) == 0:
        return None
    first = int(guessed.argmax())
    return RankingError(float(kendalltau(guessed, measured).statistic), float(measured.max() - measured[first]), first)
