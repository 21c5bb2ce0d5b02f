"""Intervals hold the truth as often as they say; power is what a simulated test has; honest choices do not flatter."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom, bootstrap, norm

from headstart.comparison.intervals import average, crossfit, difference, required_images, standard_error

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


def held_often_enough(held: int, low: float = 0.91, high: float = 0.985) -> bool:
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
    for repeat in range(REPEATS):
        easy = random.standard_normal((1, 150))
        one, two = (crossed(random, seeds, 150, of_seed, mean, easy) for mean in (0.7, 0.4))
        of_one = average(one, resamples=300, seed=repeat)
        apart = difference(one, two, resamples=300, seed=repeat).interval
        both[0] += of_one.low <= truth(of_seed, 0.7) <= of_one.high
        both[1] += apart.low <= truth(of_seed, 0.7) - truth(of_seed, 0.4) <= apart.high
    assert all(map(held_often_enough, both)), both


def test_with_one_seed_it_is_scipy_s_bootstrap_over_images() -> None:
    random = np.random.default_rng(0)
    one, two = random.random(300) < 0.8, random.random(300) < 0.7
    got = average(one, resamples=8000)
    apart = difference(one, two, resamples=8000)
    for figure, sample in ((got, one.astype(float)), (apart.interval, one.astype(float) - two)):
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
        means.append(x.mean())
        errors.append(standard_error(x)[0] ** 2)
    assert np.mean(errors) == pytest.approx(np.var(means), rel=0.2)
    assert standard_error(np.ones((3, 9))) == (0.0, np.inf)


def test_seeds_that_differ_widen_the_interval_and_pairing_narrows_it() -> None:
    random = np.random.default_rng(4)
    easy = 3 * random.standard_normal((1, 400))
    same, apart = (crossed(random, 3, 400, of_seed, 0.5, easy) for of_seed in (0.0, 1.0))
    assert np.ptp([average(apart).low, average(apart).high]) > np.ptp([average(same).low, average(same).high])
    other = crossed(random, 3, 400, 0.0, 0.5, easy)
    paired, strangers = difference(same, other), difference(same, other[:, ::-1])
    assert np.ptp([paired.interval.low, paired.interval.high]) < np.ptp(
        [strangers.interval.low, strangers.interval.high]
    )


def test_all_alike_has_no_width_and_a_share_stays_a_share() -> None:
    assert average(np.ones((3, 20), dtype=bool)) == average(np.ones((1, 20), dtype=bool))
    assert average(np.ones((3, 20), dtype=bool)).low == 1
    few = average([[True] * 9 + [False], [True] * 10])
    assert 0 <= few.low <= few.value <= few.high <= 1
    assert average([[True]]).value == 1


def test_the_difference_is_told_when_its_interval_leaves_out_zero() -> None:
    right = np.arange(400) < 300
    assert difference(right, np.arange(400) < 260).significant
    assert difference(np.arange(400) < 260, right).significant
    assert not difference(right, right).significant
    assert not difference(right, np.roll(right, 3)).significant
    with pytest.raises(ValueError, match="the same seeds and images"):
        difference(right, right[:-1])


@pytest.mark.parametrize(("better", "worse"), [(0.12, 0.08), (0.05, 0.01), (0.3, 0.2)])
def test_with_the_images_needed_a_paired_test_finds_it_four_times_in_five(better: float, worse: float) -> None:
    """McNemar's test, simulated: b images only one setting has right, c only the other."""
    d = np.repeat([1, -1, 0], [round(1000 * better), round(1000 * worse), 1000 - round(1000 * (better + worse))])
    needed = required_images(d)
    assert needed is not None
    b, c, _ = np.random.default_rng(5).multinomial(needed, [better, worse, 1 - better - worse], 4000).T
    found = (b - c) ** 2 / np.maximum(b + c, 1) > norm.ppf(0.975) ** 2
    assert found.mean() == pytest.approx(0.8, abs=0.035)


def test_no_number_of_images_tells_equals_apart_and_few_tell_opposites() -> None:
    assert required_images([0, 0, 0]) is None
    assert required_images([1, -1, 0]) is None
    assert required_images([0.1, 0.2, -0.3]) is None, "0 but for rounding"
    assert required_images([1, 1, 1]) == 1
    assert required_images([1, 0, 0, 0], power=0.9) > (required_images([1, 0, 0, 0]) or 0)


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
    assert (got.accuracy, got.optimism) == (pytest.approx(2 / 3), 0)
    with pytest.raises(ValueError, match="two images or more"):
        crossfit([[0.1]], [[True]])
