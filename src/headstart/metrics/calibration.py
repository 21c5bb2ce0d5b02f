"""One number that mends a network's confidence, and what it is worth on images that had no part in finding it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

Floats = NDArray[np.floating[Any]]

LEAST_FOR_HALVES = 20
"""With fewer images half of them say nothing of a temperature."""


@dataclass(frozen=True)
class Temperature:
    """A temperature, and the images that it may be judged by."""

    value: float
    """What the logits are divided by: above 1 the network was too sure."""
    judged: NDArray[np.int64]
    """Rows that had no part in fitting it."""
    probabilities: Floats
    """Of the rows in ``judged``, after scaling: (J, C)."""


def fit_temperature(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """The temperature with the least negative log-likelihood (Guo et al. 2017, section 4.2), from 0.05 to 20.

    Logits are known up to a constant from the probabilities (N, C), and a constant changes nothing.
    """
    true, logits = np.asarray(labels), _logits(probabilities)
    rows = np.arange(len(true))

    def loss(log_t: float) -> float:
        scaled = logits / np.exp(log_t)
        return float((logsumexp(scaled, axis=1) - scaled[rows, true]).mean())

    found = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x))


def scaled(probabilities: ArrayLike, temperature: float) -> Floats:
    """The probabilities (N, C) that the network gives when its logits are divided by ``temperature``."""
    logits = _logits(probabilities) / temperature
    return np.asarray(np.exp(logits - logsumexp(logits, axis=1, keepdims=True)))


def fit_on_half(labels: ArrayLike, probabilities: ArrayLike, seed: int = 0) -> Temperature:
    """Fit a temperature on one half of the images, drawn by ``seed``, and scale the other half by it."""
    true, p = np.asarray(labels), np.asarray(probabilities)
    order = np.random.default_rng(seed).permutation(len(true))
    fitted, judged = order[: len(order) // 2], np.sort(order[len(order) // 2 :])
    value = fit_temperature(true[fitted], p[fitted])
    return Temperature(value, judged, scaled(p[judged], value))


def _logits(probabilities: ArrayLike) -> Floats:
    p = np.asarray(probabilities, dtype=np.float64)
    return np.asarray(np.log(np.maximum(p, np.finfo(np.float32).tiny)))
