"""The label multiplier is recovered where it is known, and is a bound where A's curve ends."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, norm
from sklearn.isotonic import IsotonicRegression

from headstart.comparison.crossed import Contrasts
from headstart.comparison.intervals import Difference, difference
from headstart.comparison.label_efficiency import (
    SHARES,
    LabelMultiplier,
    label_multiplier,
    labels_for,
    monotone,
    stretch,
)

LABELS = (100, 250, 500, 1000)
CURVE = (0.2, 0.4, 0.5, 0.7)


TRIFLE = 1e-6
"""Half of an interval next to nothing."""


def compared(value: float, curve: tuple[float, ...], half: float) -> list[Contrasts]:
    """A known score against a known curve; ``half`` is half of the interval of each comparison."""
    error = half / norm.ppf(0.975)
    gaps = [value - (curve[k] + SHARES * (curve[k + 1] - curve[k])) for k in range(len(curve) - 1)]
    return [Contrasts(gap, np.full(33, error), np.full(33, 1e6), np.full(33, error), np.zeros(33)) for gap in gaps]


def of(
    value: float,
    n: int = 100,
    labels: tuple[int, ...] = LABELS,
    curve: tuple[float, ...] = CURVE,
    half: float = TRIFLE,
) -> LabelMultiplier:
    """The multiplier of a known score against a known curve."""
    error = half / norm.ppf(0.975)
    delta = Difference(value - float(np.interp(np.log(n), np.log(labels), curve)), error, 1e6, error, 400, 3)
    found = label_multiplier(list(zip(labels, curve, strict=True)), n, value, compared(value, curve, half), delta)
    assert found is not None
    return found


@pytest.mark.parametrize("n_star", [100, 130, 250, 333, 740, 1000])
def test_it_is_n_star_over_n(n_star: float) -> None:
    value = float(np.interp(np.log(n_star), np.log(LABELS), CURVE))
    for n in (100, 500):
        got = of(value, n)
        assert (got.value, got.low, got.high) == pytest.approx((n_star / n,) * 3, rel=1e-3)
        assert got.beyond == ""


def test_between_two_points_a_straight_line_over_the_logarithm() -> None:
    assert of(0.3).value == pytest.approx(np.sqrt(100 * 250) / 100)


@pytest.mark.slow
def test_a_law_of_log_n_is_recovered_within_its_interval() -> None:
    """A: 0.1 + 0.2 log10(n / 10); the other has with 250 what A has with 750. 150 studies of 3 seeds.

    The difference to A with the same labels and the multiplier are significant together.
    """
    random, held, found = np.random.default_rng(0), 0, []
    for _ in range(150):
        easy = np.sqrt(0.5) * random.standard_normal(300)
        latent = easy + np.sqrt(0.5) * random.standard_normal((5, 3, 300))
        shares = 0.1 + 0.2 * np.log10(np.array([*LABELS, 750]) / 10)
        *a, b = ((x < norm.ppf(share)).astype(float) for x, share in zip(latent, shares, strict=True))
        delta = difference(b, a[1])
        curve = [(n, float(each.mean())) for n, each in zip(LABELS, a, strict=True)]
        got = label_multiplier(curve, 250, float(b.mean()), [stretch(b, *a[k : k + 2]) for k in range(3)], delta)
        assert got is not None
        assert (got.above_one or got.below_one) == delta.significant
        assert got.low <= got.value <= got.high
        held += (got.low <= 3 or got.low_beyond == "less") and (got.high >= 3 or got.high_beyond == "more")
        found.append(got.value)
    assert np.median(found) == pytest.approx(3, rel=0.1)
    assert held >= binom.ppf(0.001, 150, 0.95)


def test_multiplier_and_difference_never_contradict_each_other_on_uneven_curves() -> None:
    """A's means go up and down by chance: the multiplier then agrees with the difference, or there is none."""
    random = np.random.default_rng(1)
    nothing = 0
    for _ in range(200):
        curve = tuple(random.choice([0.4, 0.5, 0.6], 4) + 0.02 * random.standard_normal(4))
        value, half = 0.5 + 0.05 * random.standard_normal(), random.choice([0.01, 0.05, 0.2])
        n = int(random.choice(LABELS))
        error = half / norm.ppf(0.975)
        delta = Difference(value - curve[LABELS.index(n)], error, 1e6, error, 400, 3)
        got = label_multiplier(list(zip(LABELS, curve, strict=True)), n, value, compared(value, curve, half), delta)
        nothing += got is None
        if got is not None:
            assert got.low <= got.value <= got.high
            assert got.above_one == (delta.interval.low > 0)
            assert got.below_one == (delta.interval.high < 0)
    assert 0 < nothing < 100


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
    """'< 1 to > 10' is neither above nor below 1."""
    got = of(0.45, n=100, half=0.5)
    assert got.interval_text == "< 1 to > 10"
    assert not got.above_one
    assert not got.below_one


def test_below_one_with_its_whole_interval() -> None:
    got = of(0.4, n=1000)
    assert got.value == pytest.approx(0.25)
    assert got.below_one
    assert not of(0.7, n=1000).below_one


def test_on_a_flat_stretch_the_fewest_labels_count() -> None:
    flat = (0.2, 0.5, 0.5, 0.7)
    assert of(0.5, curve=flat).value == pytest.approx(2.5)
    assert of(0.5, curve=(0.5, 0.5, 0.5, 0.5), half=0.01).value == 1
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


def test_the_interval_is_where_the_curve_is_within_the_margin_of_the_score() -> None:
    """The test inverted by hand: the score 0.65 with half an interval of 0.1 is A's from 0.55 on, and to its end."""
    got = of(0.65, half=0.1)
    by_hand = np.exp(np.interp([0.55, 0.65], CURVE, np.log(LABELS))) / 100
    assert (got.low, got.value) == pytest.approx(tuple(by_hand), rel=1e-3)
    assert (got.low_beyond, got.beyond, got.high_beyond) == ("", "", "more")
    assert got.high == 10
    assert got.interval_text.endswith(" to > 10")


def test_labels_must_increase() -> None:
    with pytest.raises(ValueError, match="increasing"):
        of(0.5, labels=(100, 100, 200, 300))
