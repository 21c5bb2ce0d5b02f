"""Families of learning curves, fitted to the error of a label curve (Viering and Loog 2022, arXiv 2103.10948).

The error with n labels is

    e(n) = c + a g(n),    0 <= c, a and c + a <= 1,

where c is what no number of labels removes, and g falls from 1 to 0 (x = n / n_1, with n_1 the fewest labels tried):

    power law with offset   g = x^-b                    from n_1 on
    exponential             g = exp(-x / s)
    Weibull                 g = exp(-(x / s)^d)
    MMF                     g = 1 / (1 + (x / s)^d)     (Morgan, Mercer and Flodin 1975)

Fits are by bounded least squares from several starts. A curve of few points does not determine four parameters, so each
parameter of g has a broad normal prior on its logarithm, and c a half-normal one whose standard deviation is the error
with the most labels; each enters as one more residual.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from headstart.metrics.bootstrap import Floats

LEAST_ERROR = 0.01
OFFSETS = (0.05, 0.5, 0.9)
"""Starts of c, as shares of the smallest error."""
TOLERANCE, ROUGH = 1e-5, 1e-2
"""Relative changes of cost and parameters that end a fit; rough from the parameters of a similar curve."""


@dataclass(frozen=True)
class Family:
    """A family of curves g(x; p), with the prior of the logarithm of each p: mean and standard deviation."""

    name: str
    decay: Callable[[Floats, Floats], Floats]
    prior: tuple[tuple[float, float], ...]

    def error(self, parameters: Floats, x: Floats) -> Floats:
        """The error at x = n / n_1 for the parameters (c, a / (1 - c), log p ...)."""
        offset, share = parameters[:2]
        with np.errstate(over="ignore"):
            return np.asarray(offset + share * (1 - offset) * self.decay(x, np.exp(parameters[2:])))


FAMILIES = (
    Family("power law with offset", lambda x, p: x ** -p[0], ((-0.9, 0.7),)),
    Family("exponential", lambda x, p: np.exp(-x / p[0]), ((1.5, 1.5),)),
    Family("Weibull", lambda x, p: np.exp(-((x / p[0]) ** p[1])), ((1.5, 2.0), (-0.9, 0.7))),
    Family("MMF", lambda x, p: 1 / (1 + (x / p[0]) ** p[1]), ((1.5, 2.0), (-0.5, 0.7))),
)


def fit(family: Family, x: Floats, error: Floats, noise: Floats, start: Floats | None = None) -> Floats:
    """The parameters of ``family`` for the errors (K,) at x (K,) with standard deviations ``noise`` (K,).

    From ``start``, else the best of several starts.
    """
    middle, width = np.transpose(family.prior)
    lower = np.array([0.0, 0.0, *(middle - 4 * width)])
    upper = np.array([1.0, 1.0, *(middle + 4 * width)])

    last = max(float(error[-1]), LEAST_ERROR)

    def residuals(parameters: Floats) -> Floats:
        prior = [(parameters[2:] - middle) / width, parameters[:1] / last]
        return np.concatenate([(family.error(parameters, x) - error) / noise, *prior])

    best, cost, tolerance = np.empty(0), np.inf, TOLERANCE if start is None else ROUGH
    for begin in [start] if start is not None else _starts(family, error):
        found = least_squares(
            residuals,
            np.clip(begin, lower + 1e-6, upper - 1e-6),
            bounds=(lower, upper),
            xtol=tolerance,
            ftol=tolerance,
            max_nfev=60,
        )
        if found.cost < cost:
            best, cost = found.x, found.cost
    return np.asarray(best)


def _starts(family: Family, error: Floats) -> list[Floats]:
    """Offsets below the smallest error, with the amplitude that meets the first point."""
    middle = np.array([mean for mean, _ in family.prior])
    first = max(float(family.decay(np.ones(1), np.exp(middle))[0]), 1e-3)
    offsets = [share * min(float(error.min()), 0.99) for share in OFFSETS]
    return [np.array([c, (error[0] - c) / first / (1 - c), *middle]) for c in offsets]
