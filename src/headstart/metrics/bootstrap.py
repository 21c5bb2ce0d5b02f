"""Bootstrap over images: percentile intervals (Efron 1979) of any metric that is a function of counts per image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

MAX_DRAWS = 4_000_000
"""Counts held in memory at a time, resamples x images: 32 MB as float64."""


@dataclass(frozen=True)
class Interval:
    """A metric with its 95 % confidence interval."""

    value: float
    low: float
    high: float


def resampled(count: int, resamples: int, seed: int, groups: ArrayLike | None = None) -> Iterator[Floats]:
    """Yield how often each of ``count`` images occurs in each resample, float (block, count), a block at a time.

    The blocks together have ``resamples`` rows; each row sums to ``count``. With ``groups``, the number 0..G-1 of each
    image's group, whole groups are drawn, and a row sums to whatever their images are.
    """
    if groups is not None:
        member = np.asarray(groups, dtype=np.int64)
        for drawn_groups in resampled(int(member.max()) + 1, resamples, seed):
            yield drawn_groups[:, member]
        return
    random = np.random.default_rng(seed)
    block = max(1, MAX_DRAWS // count)
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        drawn = random.integers(0, count, (size, count)) + count * np.arange(size)[:, None]
        yield np.bincount(drawn.ravel(), minlength=size * count).reshape(size, count).astype(np.float64)


def numbered(groups: Sequence[str]) -> list[int] | None:
    """Names of groups, "" for an image of its own, as numbers (N,); None where no two images share a group."""
    numbers: dict[str, int] = {}
    found = [numbers.setdefault(name or f"\0{i}", len(numbers)) for i, name in enumerate(groups)]
    return found if len(numbers) < len(found) else None


def bootstrap_mean(each: ArrayLike, resamples: int = 1000, seed: int = 0) -> Interval:
    """The mean of one value per image, (N,), N > 0, with its bootstrap interval over images."""
    values = np.asarray(each, dtype=np.float64)
    means = np.concatenate([counts @ values / len(values) for counts in resampled(len(values), resamples, seed)])
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(values.mean()), float(low), float(high))
