"""Intervals of shares hold the truth as often as they say, up to a share of 1, and always have a width."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from headstart.metrics.classification import classification_metrics
from headstart.metrics.shares import mean_share

IMAGES = (10, 28, 100, 1000)


def intervals(images: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """The ends of the interval of each number of correct images, (N + 1, 2)."""
    found = [mean_share(np.arange(images) < correct) for correct in range(images + 1)]
    return np.array([(each.low, each.high) for each in found])


@pytest.mark.parametrize("images", IMAGES)
def test_the_coverage_is_at_least_93_per_cent_for_every_share(images: int) -> None:
    """Exactly, by the binomial distribution: the probability of those numbers whose interval holds the share."""
    low, high = intervals(images).T
    for share in np.concatenate([np.linspace(0.5, 0.995, 100), [0.999, 1.0]]):
        of_each = binom.pmf(np.arange(images + 1), images, share)
        assert of_each[(low <= share) & (share <= high)].sum() >= 0.93, share


@pytest.mark.parametrize("images", IMAGES)
def test_no_interval_has_zero_width_or_leaves_0_to_1(images: int) -> None:
    low, high = intervals(images).T
    assert (high - low > 0).all()
    assert (low >= 0).all()
    assert (high <= 1).all()
    assert (np.diff(low) >= 0).all()
    assert (np.diff(high) >= 0).all()


def test_the_interval_of_a_run_s_accuracy_is_this_one() -> None:
    """25 of 28 correct: about 72 to 97 %, by Wilson 72.8 to 96.3; 20 of 20 is no certainty."""
    for correct, images, near in ((25, 28, (0.72, 0.97)), (20, 20, (0.79, 1.0))):
        labels = np.zeros(images, dtype=np.int64)
        p = np.where(np.arange(images)[:, None] < correct, [[0.9, 0.1]], [[0.1, 0.9]])
        found = classification_metrics(labels, p, ["a", "b"]).accuracy
        one = mean_share(np.arange(images) < correct)
        assert (found.low, found.high) == pytest.approx((one.low, one.high))
        assert (found.low, found.high) == pytest.approx(near, abs=0.015)
