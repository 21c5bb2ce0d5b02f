"""Refusals: what is promised holds, against made-up images whose true error is known."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom

from headstart.errors import HeadstartError
from headstart.metrics.calibration import scaled
from headstart.metrics.refusal import FIRST, STEPS, choose_refusal, error_bound, images_needed


def made(
    count: int, random: np.random.Generator, sharpness: float = 4.0
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels and over-confident probabilities of three classes: images between classes are often wrong."""
    labels = random.integers(0, 3, count)
    logits = np.eye(3)[labels] * sharpness * random.random((count, 1)) + random.normal(size=(count, 3))
    p = np.exp(2 * logits)
    return labels, p / p.sum(axis=1, keepdims=True)


def test_the_bound_is_where_so_few_errors_have_a_probability_of_five_percent() -> None:
    for wrong, images in ((0, 59), (3, 164), (10, 400)):
        assert binom.cdf(wrong, images, error_bound(wrong, images)) == pytest.approx(0.05, abs=1e-6)
    assert images_needed(0.05) == 59
    assert error_bound(0, 59) <= 0.05 < error_bound(0, 58)


def test_the_promise_is_broken_in_at_most_five_of_a_hundred_trainings() -> None:
    """Thresholds chosen on 300 images, judged on 5,000 of the same kind, 100 times."""
    random = np.random.default_rng(0)
    fresh, p_fresh = made(5_000, random)
    wrong = p_fresh.argmax(axis=1) != fresh
    broken, answered = [], []
    for _ in range(100):
        with suppress(HeadstartError):  # nothing is promised
            answers = ~choose_refusal(*made(300, random), 0.10).refuses(p_fresh)
            broken.append(wrong[answers].mean() > 0.10)
            answered.append(answers.mean())
    assert len(answered) > 90
    assert wrong.mean() > 0.15  # without refusals it would be broken
    assert np.sum(broken) <= binom.ppf(0.99, 100, 0.05)
    assert np.mean(answered) > 0.3


def test_what_is_said_of_the_validation_images_is_counted_there() -> None:
    labels, p = made(600, np.random.default_rng(1))
    refusal = choose_refusal(labels, p, 0.05)
    answers = ~refusal.refuses(p)
    assert refusal.answered.value == pytest.approx(answers.mean())
    assert refusal.answered.low < answers.mean() < refusal.answered.high
    assert refusal.wrong == pytest.approx((p.argmax(axis=1) != labels)[answers].mean())
    assert refusal.wrong < refusal.bound <= 0.05


def test_a_network_that_is_always_right_answers_everything() -> None:
    labels = np.arange(90) % 3
    p = np.full((90, 3), 0.05) + 0.85 * np.eye(3)[labels]
    assert choose_refusal(labels, p, 0.05).answered.value == 1
    assert not choose_refusal(labels, p, 0.05).refuses([[0.34, 0.33, 0.33]]).any()


def test_with_too_few_images_nothing_is_promised() -> None:
    labels, p = made(58, np.random.default_rng(0), sharpness=30)
    with pytest.raises(HeadstartError, match=r"at least 59 validation images.* found 58\..*--refuse 0.06"):
        choose_refusal(labels, p, 0.05)
    with pytest.raises(HeadstartError, match=r"found 120 of 58 groups"):
        choose_refusal(*made(120, np.random.default_rng(0)), 0.05, groups=np.arange(120) % 58)


def test_a_network_that_guesses_promises_nothing() -> None:
    random = np.random.default_rng(0)
    labels, p = random.integers(0, 3, 300), random.dirichlet([1, 1, 1], 300)
    with pytest.raises(HeadstartError, match="found none on 300 validation images"):
        choose_refusal(labels, p, 0.05)


def test_the_way_out_is_the_least_promise_that_can_be_made() -> None:
    labels, p = made(300, np.random.default_rng(3), sharpness=2)
    with pytest.raises(HeadstartError) as refused:
        choose_refusal(labels, p, 0.02)
    possible = float(refused.value.hint.split()[1].rstrip(","))
    assert choose_refusal(labels, p, possible).bound <= possible
    with pytest.raises(HeadstartError):
        choose_refusal(labels, p, possible - 0.01)


def test_a_share_that_is_none_is_refused() -> None:
    labels, p = made(300, np.random.default_rng(3))
    for error in (0.0, 1.0, float("nan")):
        with pytest.raises(HeadstartError, match="between 0 and 1"):
            choose_refusal(labels, p, error)


def test_the_sequence_of_tests_ends_where_that_of_mapie_does() -> None:
    """P values by the binomial distribution, over the thresholds that answer so many; MAPIE then tests in sequence."""
    fwer = pytest.importorskip("mapie.risk_control.fwer_control", reason="pip install -e .[dev]")
    for seed, error in ((0, 0.05), (1, 0.10), (2, 0.10), (3, 0.25)):
        labels, p = made(400, np.random.default_rng(seed))
        refusal = choose_refusal(labels, p, error)
        confidence = scaled(p, refusal.temperature).max(axis=1)
        order, wrong = np.argsort(-confidence), p.argmax(axis=1) != labels
        sizes = [*range(max(images_needed(error), 400 // FIRST), 400, 400 // STEPS), 400]
        p_values = [binom.cdf(wrong[order[:size]].sum(), size, error) for size in sizes]
        rejected = fwer.control_fwer(np.array(p_values), 0.05, "fixed_sequence")
        assert 0 < len(rejected) < len(sizes)
        assert (~refusal.refuses(p)).sum() == sizes[rejected[-1]]
