"""Neighbors, purity and silhouette: against scikit-learn and the definitions."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import KNeighborsClassifier

from headstart.metrics import neighbors as separation
from headstart.metrics.bootstrap import bootstrap_mean

DIGITS = load_digits()
X, Y = DIGITS.data.astype(np.float32), DIGITS.target.astype(np.int64)


def test_knn_is_scikit_learn_s_where_votes_are_not_tied() -> None:
    bank, bank_labels, some, labels = X[:800], Y[:800], X[800:1100], Y[800:1100]
    near = separation.nearest_neighbors(some, bank)
    right = separation.knn_correct(near, bank_labels, labels)
    oracle = KNeighborsClassifier(20, metric="cosine", algorithm="brute").fit(bank, bank_labels).predict(some)
    votes = [Counter(bank_labels[row].tolist()).most_common(2) for row in near]
    clear = np.array([len(two) == 1 or two[0][1] > two[1][1] for two in votes])
    assert clear.sum() > 250
    np.testing.assert_array_equal(right[clear], (oracle == labels)[clear])


def test_of_few_images_only_the_near_ones_vote() -> None:
    """Two far groups of twelve and eight: the vote of all twenty would be the same for every image."""
    sizes = [12, 8]
    bank, labels = np.repeat(np.eye(2, 8, dtype=np.float32), sizes, axis=0), np.repeat([0, 1], sizes)
    for count, right in ((20, 0.6), (separation.voters(labels), 1.0)):
        assert separation.knn_correct(separation.nearest_neighbors(bank, bank, count), labels, labels).mean() == right
    assert [separation.voters(np.repeat([0, 1, 2], each)) for each in (1, 2, 15, 21, 400)] == [1, 1, 14, 20, 20]
    assert separation.voters(np.repeat([0, 3, 9], [2, 15, 900])) == 14  # a rare class does not decide for all


def test_a_tie_goes_to_the_nearer() -> None:
    near = np.array([[0, 1, 2, 3]])
    assert separation.knn_correct(near, np.array([4, 4, 7, 7]), np.array([4])) == [1]
    assert separation.knn_correct(near, np.array([7, 7, 4, 4]), np.array([4])) == [0]


def test_nothing_is_its_own_neighbor() -> None:
    near = separation.nearest_neighbors(X[:100])
    assert near.shape == (100, 20)
    assert not (near == np.arange(100)[:, None]).any()
    assert separation.nearest_neighbors(X[:3]).shape == (3, 2)


def test_purity_is_the_share_of_neighbors_of_the_class() -> None:
    near = separation.nearest_neighbors(X[:200])
    expected = [np.mean([Y[other] == Y[row] for other in near[row]]) for row in range(200)]
    np.testing.assert_allclose(separation.purity(near, Y[:200], Y[:200]), expected)


def test_silhouette_is_rousseeuw_s_formula() -> None:
    x, y = X[:120], Y[:120]
    distance = pairwise_distances(x, metric="cosine")
    expected = []
    for i in range(len(x)):
        own = (y == y[i]) & (np.arange(len(x)) != i)
        a = distance[i, own].mean()
        b = min(distance[i, y == other].mean() for other in set(y.tolist()) - {int(y[i])})
        expected.append((b - a) / max(a, b))
    np.testing.assert_allclose(separation.silhouettes(x, y), expected, atol=1e-5)


def test_silhouettes_of_many_are_those_of_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = separation.silhouettes(X, Y)
    monkeypatch.setattr(separation, "SILHOUETTE_SAMPLE", 900)
    sample = separation.silhouettes(X, Y)
    assert (len(whole), len(sample)) == (len(X), 900)
    assert sample.mean() == pytest.approx(whole.mean(), abs=0.02)


def test_silhouette_is_not_defined_for_one_class_nor_for_classes_of_one() -> None:
    assert len(separation.silhouettes(X[:9], np.zeros(9, np.int64))) == 0
    assert len(separation.silhouettes(X[:9], np.arange(9))) == 0


def test_features_that_are_all_alike_or_zero_do_no_harm() -> None:
    flat = np.zeros((30, 5), np.float32)
    labels = np.repeat([0, 1, 2], 10)
    near = separation.nearest_neighbors(flat)
    assert np.isfinite(separation.knn_correct(near, labels, labels)).all()
    assert np.isfinite(separation.silhouettes(flat, labels)).all()


def test_the_interval_of_a_mean_is_scipy_s() -> None:
    from scipy.stats import bootstrap

    values = (Y[:300] % 3 == 0).astype(float)
    ours = bootstrap_mean(values, resamples=4000)
    theirs = bootstrap((values,), np.mean, n_resamples=4000, method="percentile", random_state=0).confidence_interval
    assert ours.value == values.mean()
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.01)
