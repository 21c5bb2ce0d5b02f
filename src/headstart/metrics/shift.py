"""Whether new images are of the kind that a network was validated on: two-sample tests of what it makes of them.

Tests whose levels hold for any distribution and any number of images, as long as each image is drawn by itself:

- the features as a whole, by energy distance (Szekely and Rizzo 2013) and a permutation test;
- numbers of each image, by Kolmogorov and Smirnov: its distance to the training images, the mean of its nearest
  neighbors in the features (Sun et al. 2022, arXiv 2204.06507), the confidence of its prediction, its sharpness.

All of them together keep the level by Bonferroni's correction.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ks_2samp

LEVEL = 0.05
"""Probability of an alarm for images of the same kind, at most."""
OUTSIDE = 0.99
"""An image is outside if it is farther from the training images than this share of the validation images."""
PERMUTATIONS, SAMPLE = 999, 1000

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Difference:
    """How one number differs between new images and validation images."""

    name: str
    statistic: float
    """Energy distance; or the largest distance of the two cumulative distributions, 0 to 1."""
    p_value: float
    """Of all tests together (Bonferroni)."""
    validation: float
    """Median of the validation images; for features their mean distance to each other."""
    new: float
    """Median of the new images; for features their mean distance to the validation images."""

    @property
    def significant(self) -> bool:
        """Whether images of the same kind would differ so much in at most `LEVEL` of all cases."""
        return bool(self.p_value <= LEVEL)


def differences(
    features: tuple[Floats, Floats], validation: Mapping[str, Floats], new: Mapping[str, Floats]
) -> tuple[Difference, ...]:
    """Compare M validation images with N new ones: ``features``, of (M, F) and (N, F), and numbers by name."""
    tests, found = len(validation) + 1, [_energy_test(*features)]
    for name, reference in validation.items():
        with warnings.catch_warnings():  # where it cannot be exact, its asymptotic form does
            warnings.simplefilter("ignore", RuntimeWarning)
            test = ks_2samp(reference, new[name])
        medians = float(np.median(reference)), float(np.median(new[name]))
        found.append(Difference(name, float(test.statistic), float(test.pvalue), *medians))
    return tuple(replace(each, p_value=float(min(1.0, each.p_value * tests))) for each in found)


def _energy_test(validation: Floats, new: Floats) -> Difference:
    """Energy distance of features scaled to length 1; at most `SAMPLE` images of each, the same ones each time."""
    random = np.random.default_rng(0)
    parts = [part[random.permutation(len(part))[:SAMPLE]] for part in (validation, new)]
    count, whole = len(parts[0]), np.concatenate(parts)
    unit = whole / np.maximum(np.linalg.norm(whole, axis=1, keepdims=True), 1e-12)
    distances = np.sqrt(np.maximum(0.0, 2 - 2 * unit @ unit.T))
    weights = np.concatenate([np.full(count, 1 / count), np.full(len(unit) - count, -1 / (len(unit) - count))])
    drawn = np.stack([weights, *(random.permutation(weights) for _ in range(PERMUTATIONS))])
    energies = -((drawn @ distances) * drawn).sum(axis=1)
    p_value = (1 + np.count_nonzero(energies[1:] >= energies[0] - 1e-12)) / (1 + PERMUTATIONS)
    within, between = distances[:count, :count].mean(), distances[:count, count:].mean()
    return Difference("features", float(energies[0]), p_value, float(within), float(between))


def outside(validation: Floats, new: Floats) -> NDArray[np.bool_]:
    """Which of N new images, (N,), are farther away than the share `OUTSIDE` of M validation images, (M,)."""
    return np.asarray(new > np.quantile(validation, OUTSIDE))
