"""Temperature scaling: against a search by hand, and on answers whose fault is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import log_loss

from headstart.metrics.calibration import fit_on_half, fit_temperature, scaled
from headstart.metrics.classification import classification_metrics


def answers(factor: float, count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from honest probabilities, and probabilities whose logits are ``factor`` times too large."""
    random = np.random.default_rng(0)
    logits = random.normal(size=(count, 6)) * 1.5
    honest = softmax(logits, axis=1)
    labels = np.array([random.choice(6, p=p) for p in honest])
    return labels, softmax(logits * factor, axis=1)


@pytest.mark.parametrize("factor", [0.5, 1, 3])
def test_the_temperature_undoes_what_was_done_to_the_logits(factor: float) -> None:
    labels, p = answers(factor)
    assert fit_temperature(labels, p) == pytest.approx(factor, rel=0.06)
    np.testing.assert_allclose(scaled(p, factor), softmax(np.log(p) / factor, axis=1), rtol=1e-9)


@pytest.mark.slow
def test_no_other_temperature_has_a_lower_loss() -> None:
    labels, p = answers(2)
    best = log_loss(labels, scaled(p, fit_temperature(labels, p)))
    assert best <= min(log_loss(labels, scaled(p, t)) for t in np.linspace(0.5, 6, 200)) + 1e-7


def test_it_is_judged_on_images_that_had_no_part_in_it() -> None:
    labels, p = answers(3, 1001)
    fitted = fit_on_half(labels, p)
    assert len(fitted.held_out) == 501
    others = np.setdiff1d(np.arange(1001), fitted.held_out)
    assert fitted.value == pytest.approx(fit_temperature(labels[others], p[others]))
    classes = list("abcdef")
    before = classification_metrics(labels[fitted.held_out], p[fitted.held_out], classes)
    after = classification_metrics(labels[fitted.held_out], fitted.probabilities, classes)
    assert after.ece.value < 0.3 * before.ece.value
    assert after.brier.value < before.brier.value
    assert after.accuracy == before.accuracy


def test_certain_and_wrong_answers_do_no_harm() -> None:
    labels = np.array([0, 1, 0, 1] * 10)
    p = np.eye(2)[1 - labels]
    p[:20] = np.eye(2)[labels[:20]]
    assert np.isfinite(scaled(p, fit_temperature(labels, p))).all()
