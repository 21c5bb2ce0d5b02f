"""Which backbones a round of a race drops: as a brute-force bootstrap says, and the best rarely."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import kendalltau

from headstart.comparison.race import compare, ranking_error


def answers(accuracy: list[float], seeds: int = 3, images: int = 300, seed: int = 0) -> np.ndarray:
    """Correct or not, (C, S, N): some images are harder for all backbones, and some for each of them."""
    random = np.random.default_rng(seed)
    hard = random.normal(size=images)
    own = random.normal(size=(len(accuracy), 1, images))
    noise = random.normal(size=(len(accuracy), seeds, images))
    z = hard + 0.7 * own + 0.4 * noise
    edges = [np.quantile(z[c], p) for c, p in enumerate(accuracy)]
    return np.stack([z[c] < edge for c, edge in enumerate(edges)])


def bootstrap_worse(cells: np.ndarray, resamples: int = 800) -> set[int]:
    """Brute force: studentized max-t over all pairs, resampling seeds and images one by one."""
    random = np.random.default_rng(9)
    count, seeds, images = cells.shape
    pairs = list(itertools.combinations(range(count), 2))
    apart = {pair: (cells[pair[0]].astype(float) - cells[pair[1]]) for pair in pairs}
    draws = np.empty((resamples, len(pairs)))
    for r in range(resamples):
        rows, columns = random.integers(0, seeds, seeds), random.integers(0, images, images)
        draws[r] = [apart[pair][rows][:, columns].mean() - apart[pair].mean() for pair in pairs]
    spread = draws.std(axis=0)
    limit = np.quantile(np.abs(draws / spread).max(axis=1), 0.95)
    worse = set()
    for at, (one, other) in enumerate(pairs):
        gap = apart[one, other].mean()
        if abs(gap) > limit * spread[at]:
            worse.add(other if gap > 0 else one)
    return worse


@pytest.mark.parametrize("accuracy", [[0.8, 0.8, 0.6], [0.8, 0.79, 0.78, 0.77], [0.9, 0.7, 0.69, 0.5], [0.95, 0.6]])
def test_a_round_drops_what_a_brute_force_bootstrap_finds_worse(accuracy: list[float]) -> None:
    cells = answers(accuracy)
    assert set(compare(cells).worse()) == bootstrap_worse(cells)


@pytest.mark.slow
def test_the_best_is_dropped_in_at_most_five_per_cent_of_races_of_equals() -> None:
    """Of five backbones that are equal, any that is dropped is the true best; over three rounds."""
    random, races = np.random.default_rng(5), []
    for _ in range(100):
        z = random.normal(size=150) + random.normal(size=(5, 1, 150)) + 0.4 * random.normal(size=(5, 3, 150))
        rounds = [z + 0.5 * random.normal(size=z.shape) < 0.7 for _ in range(3)]
        races.append(any(compare(each, rounds=3, resamples=300).worse() for each in rounds))
    assert sum(races) <= 9, "5 expected; 10 or more have a chance of 3 %"


def test_a_margin_and_more_rounds_drop_less() -> None:
    cells = answers([0.8, 0.72, 0.6])
    found = compare(cells)
    gap = found.difference(0, 1)
    assert 1 in found.worse()
    assert 1 not in found.worse(margin=gap.low + 0.001)
    assert 1 in found.worse(margin=gap.low - 0.001)
    wider = compare(cells, rounds=3).difference(0, 1)
    assert wider.low < gap.low < gap.value < gap.high < wider.high
    turned = found.difference(1, 0)
    assert (turned.value, turned.low, turned.high) == (-gap.value, -gap.high, -gap.low)
    assert found.ranking == (0, 1, 2)


def test_images_of_a_group_count_as_one() -> None:
    one = answers([0.8, 0.7], images=40)
    many = np.repeat(one, 10, axis=2)
    groups = [image // 10 for image in range(400)]
    assert compare(many).worse() == (1,)
    assert compare(many, groups).worse() == compare(one).worse() == ()


def test_one_backbone_and_one_seed_are_a_round_too() -> None:
    alone = compare(answers([0.8])[:, :1])
    assert alone.worse() == ()
    assert alone.scores[0].value == pytest.approx(answers([0.8])[0, 0].mean())
    with pytest.raises(ValueError, match="backbones x seeds x images"):
        compare(np.ones((3, 4)))


def test_how_far_a_guess_was_off() -> None:
    accuracy, guess = [0.9, 0.8, 0.7, 0.6], [3.0, 4.0, 1.0, 0.0]
    error = ranking_error(guess, accuracy)
    assert error is not None
    assert error.tau == pytest.approx(kendalltau(guess, accuracy).statistic) == pytest.approx(2 / 3)
    assert error.regret == pytest.approx(0.1)
    assert error.first == 1
    assert ranking_error([1.0], [0.5]) is None
    assert ranking_error([1.0, 1.0], [0.5, 0.6]) is None
