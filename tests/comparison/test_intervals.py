"""Intervals hold the truth as often as they say; power is what a simulated test has; honest choices do not flatter.

The grid of seeds, images, groups and accuracies is in `benchmarks/coverage.py`; here is a part of it, with fixed seeds.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom, bootstrap, norm

from headstart.comparison.crossed import Crossed, seed_prior
from headstart.comparison.intervals import Difference, average, crossfit, difference
from headstart.comparison.simultaneous import deviations, family_level, winner_bias
from headstart.metrics.bootstrap import numbered
from headstart.metrics.shares import share_interval

pytestmark = pytest.mark.slow

REPEATS = 250


def crossed(
    random: np.random.Generator, seeds: int, images: int, of_seed: float, mean: float, easy: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Right or wrong, (S, N): a threshold on seed + image + chance, the truth of which is a normal distribution's."""
    latent = mean + of_seed * random.standard_normal((seeds, 1)) + easy + random.standard_normal((seeds, images))
    return latent > 0


def truth(of_seed: float, mean: float) -> float:
    return float(norm.cdf(mean / np.sqrt(of_seed**2 + 2)))


def held_often_enough(held: int, low: float = 0.93, high: float = 0.985) -> bool:
    """Whether ``held`` of the repeats fits a coverage between ``low`` and ``high``, but for one time in a thousand."""
    return bool(binom.ppf(0.0005, REPEATS, low) <= held <= binom.ppf(0.9995, REPEATS, high))


@pytest.mark.parametrize(
    ("seeds", "of_seed"),
    [
        (1, 0.0),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in ((2, 0.1), (3, 0.0), (3, 0.4), (5, 0.1))),
        (3, 0.1),
    ],
)
def test_intervals_of_accuracies_and_differences_hold_the_truth(seeds: int, of_seed: float) -> None:
    """From seeds that agree to seeds that are all the uncertainty; images that are hard for one are hard for both."""
    random = np.random.default_rng(seeds)
    both = [0, 0]
    for _ in range(REPEATS):
        easy = random.standard_normal((1, 150))
        one, two = (crossed(random, seeds, 150, of_seed, mean, easy) for mean in (0.7, 0.4))
        of_one, apart = average(one), difference(one, two).pointwise
        both[0] += of_one.low <= truth(of_seed, 0.7) <= of_one.high
        both[1] += apart.low <= truth(of_seed, 0.7) - truth(of_seed, 0.4) <= apart.high
    assert all(map(held_often_enough, both)), both


def test_with_one_seed_it_is_scipy_s_bootstrap_over_images() -> None:
    random = np.random.default_rng(0)
    one, two = random.random(300) < 0.8, random.random(300) < 0.7
    got, apart = average(one), difference(one, two)
    for figure, sample in ((got, one.astype(float)), (apart.pointwise, one.astype(float) - two)):
        theirs = bootstrap((sample,), np.mean, n_resamples=8000, method="percentile", random_state=1)
        assert figure.value == pytest.approx(sample.mean())
        assert figure.low == pytest.approx(theirs.confidence_interval.low, abs=0.005)
        assert figure.high == pytest.approx(theirs.confidence_interval.high, abs=0.005)
    assert (apart.images, apart.seeds) == (300, 1)


def test_the_standard_error_is_the_two_way_layout_s() -> None:
    """Against the variance of many repetitions of the whole study, seeds and images drawn anew."""
    random = np.random.default_rng(3)
    means, errors = [], []
    for _ in range(600):
        x = crossed(random, 4, 120, 0.2, 0.5, random.standard_normal((1, 120)))
        found = Crossed(x[None]).contrast([[1.0]])
        means.append(x.mean())
        errors.append(found.error[0] ** 2)
    assert np.mean(errors) == pytest.approx(np.var(means), rel=0.2)


@pytest.mark.parametrize("images", [10, 28, 100, 1000])
def test_the_interval_of_a_share_holds_93_of_100_at_any_accuracy(images: int) -> None:
    """Exactly, by the binomial distribution, from 0.5 to next to 1; a bootstrap and Wilson's interval fail near 1."""
    right = np.arange(images + 1)
    found = [average(np.arange(images) < count) for count in right]
    low, high = (np.array([getattr(each, end) for each in found]) for end in ("low", "high"))
    assert (low < high).all()
    truth = np.concatenate([np.linspace(0.5, 0.99, 300), 1 - np.logspace(-6, -2, 200)])[:, None]
    covered = (binom.pmf(right, images, truth) * ((low <= truth) & (truth <= high))).sum(axis=1)
    assert covered.min() >= 0.93


def test_all_correct_is_not_certain() -> None:
    got = average(np.ones(20, dtype=bool))
    assert (got.value, got.high) == (1, 1)
    assert 0.75 < got.low < 0.87, "the rule of three says 0.85"
    assert average(np.zeros(20, dtype=bool)).high == pytest.approx(1 - got.low)
    assert average(np.ones((3, 20), dtype=bool)).low == pytest.approx(got.low, abs=0.03), "seeds are no further images"
    assert average([[True]]).low < 0.5
    assert share_interval(0.5, 0.0, 30).low < 0.5


def test_groups_take_the_place_of_images() -> None:
    """Forty patients of ten equal images each: the interval is that of forty images; and it holds the truth."""
    random = np.random.default_rng(5)
    patients = np.arange(400) // 10
    right = random.random((1, 40)) < 0.7
    found = average(right[:, patients], patients)
    assert (found.low, found.high) == pytest.approx((average(right).low, average(right).high))
    assert found.low < average(right[:, patients]).low
    held, naive = 0, 0
    sizes = np.repeat(np.arange(60), np.tile([2, 8], 30))
    for _ in range(REPEATS):
        easy = np.sqrt(2) * random.standard_normal(60)[sizes] + 0.5 * random.standard_normal((1, len(sizes)))
        x = crossed(random, 3, len(sizes), 0.1, 1.0, easy)
        true = float(norm.cdf(1.0 / np.sqrt(2 + 0.25 + 0.01 + 1)))
        grouped, plain = average(x, sizes), average(x)
        held += grouped.low <= true <= grouped.high
        naive += plain.low <= true <= plain.high
    assert held_often_enough(held)
    assert naive < 0.9 * REPEATS, "as if the images of a patient were independent"


def test_names_of_groups_become_numbers_and_images_without_one_are_their_own() -> None:
    assert numbered(["p1", "", "p1", ""]) == [0, 1, 0, 2]
    assert numbered(["a", "b", ""]) is None


def test_seeds_that_differ_widen_the_interval_and_pairing_narrows_it() -> None:
    random = np.random.default_rng(4)
    easy = 3 * random.standard_normal((1, 400))
    same, apart = (crossed(random, 3, 400, of_seed, 0.5, easy) for of_seed in (0.0, 1.0))
    assert np.ptp([average(apart).low, average(apart).high]) > np.ptp([average(same).low, average(same).high])
    other = crossed(random, 3, 400, 0.0, 0.5, easy)
    paired, strangers = difference(same, other), difference(same, other[:, ::-1])
    assert paired.error < strangers.error


def test_the_difference_is_told_when_its_interval_leaves_out_zero() -> None:
    right = np.arange(400) < 300
    assert difference(right, np.arange(400) < 260).significant
    assert difference(np.arange(400) < 260, right).significant
    assert not difference(right, right).significant
    assert not difference(right, np.roll(right, 3)).significant
    with pytest.raises(ValueError, match="the same seeds and images"):
        difference(right, right[:-1])


def test_predictions_that_are_equal_on_these_images_may_differ_on_others() -> None:
    right = np.arange(30) < 25
    gap = difference(right, right)
    assert gap.value == 0
    assert 0.02 < gap.pointwise.high < 0.15
    assert not gap.within(0.02)


@pytest.mark.parametrize(("seeds", "images"), [(1, 400), (5, 300)])
def test_the_detectable_difference_is_found_four_times_in_five(seeds: int, images: int) -> None:
    """Studies whose true difference is what others of the same kind called detectable."""
    random = np.random.default_rng(5)

    def study(gap: float) -> Difference:
        easy = random.standard_normal((1, images))
        return difference(*(crossed(random, seeds, images, 0.0, mean, easy) for mean in (0.5 + gap, 0.5)))

    detectable = float(np.median([study(0.2).detectable for _ in range(60)]))
    gap = float(np.sqrt(2) * norm.ppf(truth(0.0, 0.5) + detectable) - 0.5)
    found = np.mean([study(gap).significant for _ in range(400)])
    assert found == pytest.approx(0.8, abs=0.09)


def test_the_probability_of_improvement_is_how_often_another_study_agrees() -> None:
    """Studies of one seed on other images: as often as announced, the first setting scores higher.

    Over differences of all sizes, most of them large against their error: the predictive distribution knows no better.
    """
    random = np.random.default_rng(6)
    announced, happened = [], []
    for _ in range(600):
        gap = 0.6 * random.standard_normal()
        first, again = (
            difference(*(crossed(random, seeds, 150, 0.1, mean, easy) for mean in (0.5 + gap, 0.5)))
            for seeds, easy in ((3, random.standard_normal((1, 150))), (1, random.standard_normal((1, 150))))
        )
        announced.append(first.improvement)
        happened.append(0.5 if again.value == 0 else float(again.value > 0))
    assert np.mean(happened) == pytest.approx(np.mean(announced), abs=0.06)
    some = np.abs(np.array(announced) - 0.75) < 0.2
    assert np.array(happened)[some].mean() == pytest.approx(np.array(announced)[some].mean(), abs=0.12)


def test_all_comparisons_of_equal_settings_hold_together() -> None:
    """Six settings, all pairs: some pair is significant in about 5 of 100 studies, alone in far more."""
    random, pairs = np.random.default_rng(7), [(i, j) for i in range(6) for j in range(i)]
    together, alone = 0, 0
    for _ in range(REPEATS):
        easy = random.standard_normal((1, 200))
        x = np.stack([crossed(random, 3, 200, 0.2, 0.5, easy) for _ in range(6)]).astype(float)
        layouts = [Crossed(x[list(pair)]) for pair in pairs]
        prior = seed_prior([each.mean_square([1, -1]) for each in layouts], [2] * len(pairs))
        whole = Crossed(x)
        level = family_level(deviations(whole.of_unit, whole.seed_error, 400), pairs)
        found = [each.contrast([[1.0, -1.0]], prior) for each in layouts]
        ratios = [abs(each.value[0]) / each.error[0] for each in found]
        together += any(r > each.quantile(level)[0] for r, each in zip(ratios, found, strict=True))
        alone += any(r > each.quantile(0.05)[0] for r, each in zip(ratios, found, strict=True))
        assert 0.05 / len(pairs) <= level < 0.05
    assert together <= binom.ppf(0.999, REPEATS, 0.05)
    assert alone > 2 * together + 10


def test_the_level_lies_between_bonferroni_s_and_that_of_one() -> None:
    """Comparisons that are one and the same need no correction; independent ones that of Sidak."""
    random = np.random.default_rng(8)
    drawn = random.standard_normal((20_000, 11))
    same = np.stack([drawn[:, 0], *[drawn[:, 1]] * 10], axis=1)
    assert family_level(same, [(0, i) for i in range(1, 11)]) == pytest.approx(0.05, rel=0.05)
    apart = np.concatenate([drawn[:, :10], np.zeros((20_000, 1))], axis=1)
    assert family_level(apart, [(i, 10) for i in range(10)]) == pytest.approx(1 - 0.95**0.1, rel=0.15)
    assert family_level(drawn, [(0, 1)]) == 0.05
    assert family_level(np.zeros((10, 3)), [(0, 1), (0, 2)]) == 0.025


def test_the_winner_s_bias_is_that_of_the_highest_of_equals() -> None:
    """Of five equal independent scores the highest is 1.163 standard deviations too high; of a clear one, nothing."""
    drawn = np.random.default_rng(9).standard_normal((40_000, 5))
    assert winner_bias([0.5] * 5, drawn) == pytest.approx(1.163, abs=0.02)
    assert winner_bias([99, 0, 0, 0, 0], drawn) == pytest.approx(0, abs=0.02)


def test_the_seeds_of_other_comparisons_count_the_less_the_more_they_differ() -> None:
    random = np.random.default_rng(10)
    alike = seed_prior((2.0 * random.chisquare(2, 40) / 2).tolist(), [2] * 40)
    assert alike is not None
    assert alike.mean == pytest.approx(2.0, rel=0.4)
    assert alike.freedom > 1
    apart = seed_prior(np.exp(4 * random.standard_normal(40)).tolist(), [2] * 40)
    assert apart is not None
    assert apart.freedom < 0.5
    assert seed_prior([1.0, 2.0, 3.0], [2, 2, 2]) is None
    assert seed_prior([0.0] * 9, [2] * 9) is None


def test_crossfitting_is_by_hand_what_it_says() -> None:
    loss = np.array([[0.1, 0.1, 0.9, 0.9], [0.5, 0.5, 0.5, 0.5], [0.9, 0.9, 0.1, 0.1]])
    right = loss < 0.4
    got = crossfit(loss, right, seed=2)
    order = np.random.default_rng(2).permutation(4)
    halves = order[:2], order[2:]
    chosen = [int(loss[:, half].mean(axis=1).argmin()) for half in halves]
    assert got.epochs == tuple(chosen)
    assert np.array_equal(got.correct[halves[1]], right[chosen[0], halves[1]])
    assert np.array_equal(got.correct[halves[0]], right[chosen[1], halves[0]])
    assert got.epoch == int(loss.mean(axis=1).argmin())
    assert got.optimism == pytest.approx(right[got.epoch].mean() - got.correct.mean())


@pytest.mark.parametrize("metric", ["val_loss", "val_accuracy"])
def test_fifty_epochs_of_guessing_flatter_and_crossfitting_does_not(metric: str) -> None:
    random = np.random.default_rng(6)
    honest, flattered = [], []
    for repeat in range(200):
        right = random.random((50, 100)) < 0.5
        got = crossfit(1.0 - right, right, metric, seed=repeat)  # type: ignore[arg-type]
        honest.append(got.accuracy)
        flattered.append(got.accuracy + got.optimism)
    assert np.mean(honest) == pytest.approx(0.5, abs=0.015)
    assert np.mean(flattered) > 0.59


def test_one_epoch_leaves_nothing_to_flatter() -> None:
    right = np.array([[True, False, True]])
    got = crossfit(1.0 - right, right)
    assert got.accuracy == pytest.approx(2 / 3)
    assert got.optimism == 0
    with pytest.raises(ValueError, match="two images or more"):
        crossfit([[0.1]], [[True]])


def test_what_more_seeds_would_find_is_what_they_find() -> None:
    """Predicted from three seeds, and measured with ten, where seeds matter and where images do."""
    random = np.random.default_rng(3)
    for of_seeds, of_images in ((0.02, 0.1), (0.002, 0.4)):
        predicted, found = [], []
        for _ in range(60):
            images = of_images * random.normal(size=200)
            seeds = of_seeds * random.normal(size=(10, 1))
            gap = seeds + images + 0.2 * random.normal(size=(10, 200))
            few, many = (difference(0.5 + gap[:count], np.full((count, 200), 0.5)) for count in (3, 10))
            predicted.append((1 - few.image_share) * 0.3 * few.error**2 + few.image_share * few.error**2)
            found.append(many.error**2)
            assert few.detectable_with(3) == few.detectable
            assert few.detectable_with(10) < few.detectable
        assert np.mean(predicted) == pytest.approx(np.mean(found), rel=0.25)


def test_seeds_that_share_a_pre_training_count_as_it_does() -> None:
    """With as many seeds on each, the interval is that of the means of the pre-trainings."""
    random = np.random.default_rng(0)
    each, other = random.random((2, 6, 50)) + random.random((2, 3, 1)).repeat(2, axis=1)
    numbers = [0, 0, 1, 1, 2, 2]
    found = difference(each / 2, other / 2, clusters=numbers)
    means = [scores.reshape(3, 2, 50).mean(axis=1) / 2 for scores in (each, other)]
    expected = difference(*means)
    assert (found.value, found.error, found.freedom) == pytest.approx(
        (expected.value, expected.error, expected.freedom)
    )
    assert difference(each / 2, other / 2).freedom > found.freedom
