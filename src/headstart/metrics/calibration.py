"""Calibration of a classifier's confidence: reliability bins and temperature scaling (Guo et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

Floats = NDArray[np.floating[Any]]

BINS = 15
"""Equal bins of confidence for the calibration error, as in Guo et al. 2017."""
MIN_IMAGES_TO_HALVE = 50
"""With fewer images a temperature fitted on half of them is noise."""


@dataclass(frozen=True)
class Temperature:
    """A temperature, and the images it was not fitted on."""

    value: float
    """What the logits are divided by: above 1 the network was over-confident."""
    held_out: NDArray[np.int64]
    """Rows that were not used to fit it, (J,)."""
    probabilities: Floats
    """Of the rows in ``held_out``, after scaling: (J, C)."""


def confidence_bin(confidence: NDArray[np.float64]) -> NDArray[np.int64]:
    """The bin ((m-1)/15, m/15] of each confidence, counted from 0."""
    bins: NDArray[np.int64] = np.clip(np.ceil(confidence * BINS) - 1, 0, BINS - 1).astype(np.int64)
    return bins


def reliability(
    labels: ArrayLike, probabilities: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The reliability diagram: mean confidence, accuracy and share of images of each bin that is not empty.

    ``labels`` is int (N,), ``probabilities`` float (N, C); the three results have the same length, 15 at most.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    correct, confidence = p.argmax(axis=1) == np.asarray(labels), p.max(axis=1)
    bins = confidence_bin(confidence)
    count = np.bincount(bins, minlength=BINS)
    filled = count > 0
    mean_confidence = np.bincount(bins, confidence, BINS)[filled] / count[filled]
    accuracy = np.bincount(bins, correct, BINS)[filled] / count[filled]
    return mean_confidence, accuracy, count[filled] / len(p)


def fit_temperature(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """The temperature with the lowest negative log-likelihood (Guo et al. 2017, section 4.2), from 0.05 to 20.

    ``labels`` is int (N,). The logits are taken from ``probabilities`` (N, C); the constant that this leaves open
    changes nothing.
    """
    targets, logits = np.asarray(labels), _logits(probabilities)
    rows = np.arange(len(targets))

    def loss(log_t: float) -> float:
        scaled = logits / np.exp(log_t)
        return float((logsumexp(scaled, axis=1) - scaled[rows, targets]).mean())

    found = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x))


def scaled(probabilities: ArrayLike, temperature: float) -> Floats:
    """The probabilities (N, C) after dividing the logits by ``temperature``."""
    logits = _logits(probabilities) / temperature
    return np.asarray(np.exp(logits - logsumexp(logits, axis=1, keepdims=True)))


def fit_on_half(labels: ArrayLike, probabilities: ArrayLike, seed: int = 0) -> Temperature:
    """Fit a temperature on a random half of the images (by ``seed``), and scale the other half by it."""
    targets, p = np.asarray(labels), np.asarray(probabilities)
    order = np.random.default_rng(seed).permutation(len(targets))
    fitted, held_out = order[: len(order) // 2], np.sort(order[len(order) // 2 :])
    value = fit_temperature(targets[fitted], p[fitted])
    return Temperature(value, held_out, scaled(p[held_out], value))


def _logits(probabilities: ArrayLike) -> Floats:
    p = np.asarray(probabilities, dtype=np.float64)
    return np.asarray(np.log(np.maximum(p, np.finfo(np.float32).tiny)))
