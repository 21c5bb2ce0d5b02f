"""LogME: the log evidence of features for labels, a guess of how well a backbone transfers, without training.

You et al. 2021, *LogME: Practical Assessment of Pre-trained Models for Transfer Learning* (ICML, arXiv 2102.11005),
equations 2 to 4 and algorithm 1; its fixed point, on the singular values of the features, is that of algorithm 3. We
found no maintained package of it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headstart.metrics.bootstrap import Floats

STEPS, TOLERANCE = 100, 1e-6
"""Most steps of the fixed point, and the relative change of alpha / beta that ends it."""

PRECISIONS = (1e-9, 1e9)
"""Bounds of alpha and beta: features that say nothing have weights of 0, and those that say all a noise of 0."""


def logme(features: ArrayLike, labels: NDArray[np.int64]) -> float:
    """Mean over the classes of the log evidence per image of one-against-rest labels; higher promises more.

    ``features`` (N, D) are those of a frozen backbone, ``labels`` (N,) classes from 0. Classes without images do not
    count. Raises ValueError for fewer than two images, shapes that do not fit, or numbers that are not finite.
    """
    x = np.asarray(features, dtype=np.float64)
    if x.ndim != 2 or len(x) < 2 or labels.shape != (len(x),) or not np.isfinite(x).all():
        raise ValueError(f"expected finite features (N, D) and labels (N,), found {x.shape} and {labels.shape}")
    left, singular, _ = np.linalg.svd(x, full_matrices=False)
    targets = [(labels == each).astype(np.float64) for each in np.unique(labels)]
    return float(np.mean([_evidence(left.T @ y, singular**2, float(y @ y), x.shape) for y in targets]))


def _evidence(projected: Floats, squared: Floats, total: float, shape: tuple[int, ...]) -> float:
    """The largest log evidence per image of one target over the precisions of prior (alpha) and noise (beta).

    ``projected`` (K,) is the target in the left singular vectors, ``squared`` (K,) are the squared singular values, and
    ``total`` the squared length of the target.
    """
    count, width = shape
    outside = max(total - float(projected @ projected), 0.0)  # of the target; no weights reach it
    alpha, beta = 1.0, 1.0
    for _ in range(STEPS):
        weights, residual = _lengths(projected, squared, alpha, beta)
        gamma = float((beta * squared / (alpha + beta * squared)).sum())  # the effective number of parameters
        before = alpha / beta
        alpha = float(np.clip(gamma / max(weights, 1e-12), *PRECISIONS))
        beta = float(np.clip((count - gamma) / max(outside + residual, 1e-12), *PRECISIONS))
        if abs(alpha / beta - before) <= TOLERANCE * before:
            break
    weights, residual = _lengths(projected, squared, alpha, beta)
    determinant = np.log(alpha + beta * squared).sum() + (width - len(squared)) * np.log(alpha)
    fit = beta * (outside + residual) + alpha * weights
    evidence = count * np.log(beta / (2 * np.pi)) + width * np.log(alpha) - determinant - fit
    return float(evidence / (2 * count))


def _lengths(projected: Floats, squared: Floats, alpha: float, beta: float) -> tuple[float, float]:
    """Squared lengths of the mean weights, and of what they leave of the target within the span of the features."""
    precision = alpha + beta * squared
    weights = beta**2 * squared * (projected / precision) ** 2
    return float(weights.sum()), float(((alpha * projected / precision) ** 2).sum())
