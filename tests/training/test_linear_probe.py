"""The probe against scikit-learn's own pipeline, on handwritten digits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from headstart.training.linear_probe import STRENGTHS, solve

DIGITS = load_digits()
X, Y = DIGITS.data.astype(np.float64), DIGITS.target.astype(np.int64)


@pytest.mark.parametrize("classes", [2, 10])
def test_it_gives_the_probabilities_of_the_pipeline(classes: int) -> None:
    chosen = classes > Y
    x, y = X[chosen][:400], Y[chosen][:400]
    probe = solve(x, y, classes)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=probe.strength, max_iter=100)).fit(x, y)
    expected = model.predict_proba(X[chosen][-100:])
    ours = softmax(X[chosen][-100:] @ probe.weight.T + probe.bias, axis=1)
    np.testing.assert_allclose(ours, expected, atol=1e-3)


def test_the_strength_is_the_best_on_held_out_training_images() -> None:
    probe = solve(X[:600], Y[:600], 10)
    assert set(probe.tried) == set(STRENGTHS)
    assert probe.tried[probe.strength] == max(probe.tried.values())
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=100))
    search = GridSearchCV(pipeline, {"logisticregression__C": list(STRENGTHS)}, cv=5).fit(X[:600], Y[:600])
    scores = dict(zip(STRENGTHS, search.cv_results_["mean_test_score"], strict=True))
    assert scores[probe.strength] > search.best_score_ - 0.02
    assert min(scores.values()) < search.best_score_ - 0.05  # so that a choice at random would be seen


def test_noise_gets_a_stronger_penalty_than_signal() -> None:
    noise = np.random.default_rng(0).normal(size=(300, 400))
    noise[:, 0] += Y[:300] % 2 * 2
    assert solve(noise, Y[:300] % 2, 2).strength <= 1e-2


def test_with_one_image_of_a_class_nothing_is_held_out() -> None:
    rows = [np.flatnonzero(label == Y)[0] for label in range(10)]
    probe = solve(X[rows], Y[rows], 10)
    assert probe.tried == {}
    assert (softmax(X[rows] @ probe.weight.T + probe.bias, axis=1).argmax(axis=1) == Y[rows]).all()
