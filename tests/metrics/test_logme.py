"""LogME: the largest log evidence of a Bayesian linear model, found by brute force as well."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from headstart.metrics.logme import logme


def brute_force(features: np.ndarray, target: np.ndarray) -> float:
    """Maximize the density of the target, normal with mean 0 and covariance I / beta + F F' / alpha."""

    def negative(log: np.ndarray) -> float:
        alpha, beta = np.exp(log)
        covariance = np.eye(len(target)) / beta + features @ features.T / alpha
        return -float(multivariate_normal(cov=covariance, allow_singular=True).logpdf(target))

    found = min((minimize(negative, start, method="Nelder-Mead") for start in ([0, 0], [3, 1])), key=lambda r: r.fun)
    return -float(found.fun) / len(target)


@pytest.mark.parametrize(("images", "width", "signal"), [(40, 6, 2.0), (40, 6, 0.3), (24, 40, 1.0)])
def test_it_is_the_largest_evidence(images: int, width: int, signal: float) -> None:
    random = np.random.default_rng(3)
    labels = np.arange(images) % 3
    features = random.normal(size=(images, width)) + signal * random.normal(size=(3, width))[labels]
    expected = np.mean([brute_force(features, (labels == each).astype(float)) for each in range(3)])
    assert logme(features, labels) == pytest.approx(expected, abs=2e-3)


def test_features_that_tell_the_classes_apart_score_higher() -> None:
    random = np.random.default_rng(0)
    labels, noise = np.arange(200) % 4, random.normal(size=(200, 32))
    centers = random.normal(size=(4, 32))
    scores = [logme(noise + signal * centers[labels], labels) for signal in (0.0, 0.3, 1.0)]
    assert scores == sorted(scores)
    assert scores[0] < scores[2] - 0.1


@pytest.mark.parametrize("features", [np.ones((1, 3)), np.ones(4), np.full((4, 2), np.nan), np.ones((5, 2))])
def test_what_cannot_be_scored_is_refused(features: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected finite features"):
        logme(features, np.zeros(4 if len(features) > 1 else 1, dtype=np.int64))


def test_features_that_are_all_equal_have_a_score() -> None:
    assert np.isfinite(logme(np.zeros((10, 4)), np.arange(10) % 2))
