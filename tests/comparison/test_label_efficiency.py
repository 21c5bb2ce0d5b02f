"""The label multiplier is recovered where it is known, and is a bound where A's curve ends."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, norm
from sklearn.isotonic import IsotonicRegression

from headstart.comparison.intervals import resample_images, resample_seeds
from headstart.comparison.label_efficiency import LabelMultiplier, label_multiplier, labels_for, monotone

LABELS = (100, 250, 500, 1000)
CURVE = (0.2, 0.4, 0.5, 0.7)


def of(
    value: float, n: int = 100, labels: tuple[int, ...] = LABELS, curve: tuple[float, ...] = CURVE
) -> LabelMultiplier:
    """Without chance: every resample is the figure itself."""
    return label_multiplier(labels, curve, n, value, np.tile(curve, (50, 1)), np.full(50, value))


@pytest.mark.parametrize("n_star", [100, 130, 250, 333, 740, 1000])
def test_it_is_n_star_over_n(n_star: float) -> None:
    value = float(np.interp(np.log(n_star), np.log(LABELS), CURVE))
    for n in (100, 500):
        got = of(value, n)
        assert (got.value, got.low, got.high) == pytest.approx((n_star / n,) * 3)
        assert (got.beyond, got.low_beyond, got.high_beyond) == ("", "", "")


def test_between_two_points_a_straight_line_over_the_logarithm() -> None:
    assert of(0.3).value == pytest.approx(np.sqrt(100 * 250) / 100)


@pytest.mark.slow
def test_a_law_of_log_n_is_recovered_within_its_interval() -> None:
    """A: 0.1 + 0.2 log10(n / 10); the other has with n what A has with 3 n. 120 studies of 3 seeds."""
    random, held, found = np.random.default_rng(0), 0, []
    for _ in range(120):
        easy = np.sqrt(0.5) * random.standard_normal(300)
        latent = easy + np.sqrt(0.5) * random.standard_normal((5, 3, 300))
        shares = 0.1 + 0.2 * np.log10(np.array([*LABELS, 3 * 200]) / 10)
        groups = [(x < norm.ppf(share)).astype(float) for x, share in zip(latent, shares, strict=True)]
        means = resample_images(np.concatenate(groups), 300)
        drawn = [resample_seeds(means[:, 3 * i : 3 * i + 3], each, (0, 1, 2)) for i, each in enumerate(groups)]
        got = label_multiplier(
            LABELS, [each.mean() for each in groups[:-1]], 200, groups[-1].mean(), np.stack(drawn[:-1], 1), drawn[-1]
        )
        held += (got.low <= 3 or got.low_beyond == "less") and (got.high >= 3 or got.high_beyond == "more")
        found.append(got.value)
    assert np.median(found) == pytest.approx(3, rel=0.1)
    assert held >= binom.ppf(0.001, 120, 0.93)


def test_beyond_the_data_it_is_a_bound() -> None:
    above, below = of(0.8), of(0.1, n=250)
    assert (above.value, above.beyond, above.text) == (10, "more", "> 10")
    assert (below.value, below.beyond, below.text) == (0.4, "less", "< 0.40")
    assert above.interval_text == "> 10"
    assert above.above_one
    assert not above.below_one
    assert below.below_one
    assert not below.above_one


def test_exactly_at_the_ends_is_within_the_data() -> None:
    assert (of(0.7).value, of(0.7).beyond) == (10, "")
    assert (of(0.2, n=1000).value, of(0.2, n=1000).beyond) == (0.1, "")


def test_a_bound_on_one_end_is_no_proof() -> None:
    """'< 10' is not above 1, and '> 0.5' is not below 1."""
    one = of(0.1, n=10)
    assert one.text == "< 10"
    assert not one.above_one
    half = of(0.9, n=2000)
    assert half.text == "> 0.50"
    assert not half.below_one


def test_below_one_with_its_whole_interval() -> None:
    got = of(0.4, n=1000)
    assert got.value == pytest.approx(0.25)
    assert got.below_one
    assert not of(0.7, n=1000).below_one


def test_on_a_flat_stretch_the_fewest_labels_count() -> None:
    flat = (0.2, 0.5, 0.5, 0.7)
    assert of(0.5, curve=flat).value == pytest.approx(2.5)
    assert of(0.5, curve=(0.5, 0.5, 0.5, 0.5)).value == 1
    assert of(0.51, curve=(0.5, 0.5, 0.5, 0.5)).beyond == "more"


def test_one_fraction_says_more_or_less_only() -> None:
    for value, side in ((0.6, "more"), (0.4, "less"), (0.5, "")):
        got = of(value, labels=(100,), curve=(0.5,))
        assert (got.value, got.beyond) == (1, side)


def test_the_curve_is_scikit_learn_s_isotonic_regression() -> None:
    random = np.random.default_rng(1)
    means = random.random((20, 5))
    theirs = [IsotonicRegression().fit_transform(np.arange(5), row) for row in means]
    assert np.allclose(monotone(means), theirs)
    rising = np.sort(means, axis=1)
    assert np.array_equal(monotone(rising), rising)


def test_many_curves_at_once_are_each_alone() -> None:
    random = np.random.default_rng(2)
    curves, values = np.sort(random.random((200, 4)), axis=1), random.random(200)
    together = labels_for(np.array(LABELS, dtype=float), curves, values)
    for curve, value, got in zip(curves, values, together, strict=True):
        if value < curve[0]:
            assert got == 0
        elif value > curve[-1]:
            assert np.isinf(got)
        else:
            assert np.log(got) == pytest.approx(np.interp(value, curve, np.log(LABELS)))


def test_the_interval_reaches_over_the_end_of_the_data() -> None:
    random = np.random.default_rng(3)
    got = label_multiplier(LABELS, CURVE, 100, 0.65, np.tile(CURVE, (500, 1)), 0.65 + 0.1 * random.standard_normal(500))
    assert got.low < got.value < got.high == 10
    assert (got.low_beyond, got.beyond, got.high_beyond) == ("", "", "more")
    assert got.interval_text.endswith(" to > 10")


def test_labels_must_increase() -> None:
    with pytest.raises(ValueError, match="increasing"):
        of(0.5, labels=(100, 100, 200, 300))
