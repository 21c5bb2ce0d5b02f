"""Refusing to answer: a threshold on calibrated confidence above which at most a promised share of answers is wrong.

Thresholds are tried from the strictest to the loosest, each by the upper Clopper-Pearson bound of the error among the
validation images above it, until one fails: in a fixed sequence every test may use the whole level (Angelopoulos et al.
2021, *Learn then Test*, arXiv 2110.01052, section 3.2). So with 95 % confidence the promise holds for images that are
drawn as the validation images were. Confidence is that of temperature scaling, fitted on the same images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import beta

from headstart.errors import HeadstartError
from headstart.metrics.bootstrap import Interval
from headstart.metrics.calibration import fit_temperature, scaled
from headstart.metrics.shares import mean_share
from headstart.metrics.written import bare_share

LEVEL = 0.05
"""Probability that the promise is broken: one minus its confidence."""
STEPS = 40
"""Thresholds from one to the next of which so many images are answered: this share of them."""
FIRST = 4
"""The strictest threshold answers one image in so many: a single error among a few is chance."""


@dataclass(frozen=True)
class Refusal:
    """A threshold, what it promises, and what it costs."""

    error: float
    """Promised: at most this share of the answers is wrong."""
    threshold: float
    """Least calibrated confidence of an answer."""
    temperature: float
    images: int
    """Validation images that it was chosen on."""
    answered: Interval
    """Share of the images that is answered, with its 95 % interval."""
    wrong: float
    """Share of the answers that were wrong."""
    bound: float
    """With 95 % confidence at most so many are."""

    def refuses(self, probabilities: ArrayLike) -> NDArray[np.bool_]:
        """Which of N images are not answered, (N,), by their probabilities (N, C)."""
        p = np.asarray(probabilities, dtype=np.float64)
        return np.asarray(scaled(p, self.temperature).max(axis=1, initial=0.0) < self.threshold)

    @property
    def sentence(self) -> str:
        """What was chosen and what it means, for a reader."""
        share = self.answered
        return (
            f"Of {self.images:,} validation images {share.value:.1%} are answered (95 % CI {share.low:.1%} to"
            f" {share.high:.1%}); {bare_share(self.wrong)} of the answers are wrong, with 95 % confidence at most"
            f" {bare_share(self.bound)} of those for images like these."
        )


def images_needed(error: float) -> int:
    """Images of which not one may be wrong, at least, for 95 % confidence in an error of at most ``error``."""
    return math.ceil(math.log(LEVEL) / math.log1p(-error))


def error_bound(wrong: float, images: float) -> float:
    """Upper bound of an error rate with 95 % confidence (Clopper and Pearson 1934), by ``wrong`` of ``images``."""
    return 1.0 if wrong >= images else float(beta.ppf(1 - LEVEL, wrong + 1, images - wrong))


def choose_refusal(
    labels: ArrayLike, probabilities: ArrayLike, error: float, groups: ArrayLike | None = None
) -> Refusal:
    """The threshold that answers most images with at most the share ``error`` of wrong answers, by N validation images.

    ``labels`` are int (N,), ``probabilities`` float (N, C). With ``groups``, the number of each image's group, an
    answer counts as if its whole group had been drawn together: there are as many independent images as groups. Raises
    HeadstartError where that cannot be promised, with what can.
    """
    if not 0 < error < 1:
        raise HeadstartError(f"refuse: expected a share of errors between 0 and 1, found {error}", "--refuse 0.05")
    targets, p = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    members = np.arange(len(targets)) if groups is None else np.asarray(groups)
    temperature = fit_temperature(targets, p)
    confidence, wrong = scaled(p, temperature).max(axis=1), p.argmax(axis=1) != targets
    units, needed = len(np.unique(members)), images_needed(error)
    chosen = _last_that_holds(confidence, wrong, members, error)
    if chosen is None:
        others = (percent / 100 for percent in range(math.floor(100 * error) + 1, 51))
        possible = next((each for each in others if _last_that_holds(confidence, wrong, members, each)), None)
        hint = f"{f'--refuse {possible:g}, or ' if possible else ''}more validation images (data.val_fraction)"
        if units < needed:
            found = f"{len(targets)}" if groups is None else f"{len(targets)} of {units} groups"
            raise HeadstartError(
                f"refuse {error:g}: expected at least {needed:,} validation images, for 95 % confidence in at most"
                f" {bare_share(error)} errors, found {found}",
                hint,
            )
        raise HeadstartError(
            f"refuse {error:g}: expected a confidence above which, with 95 % confidence, at most {bare_share(error)} of"
            f" the answers are wrong, found none on {len(targets)} validation images",
            hint,
        )
    threshold, bound = chosen
    answers = confidence >= threshold
    return Refusal(
        error, threshold, temperature, len(targets), mean_share(answers), float(wrong[answers].mean()), bound
    )


def _last_that_holds(
    confidence: NDArray[np.floating[Any]], wrong: NDArray[np.bool_], members: NDArray[np.int64], error: float
) -> tuple[float, float] | None:
    """(threshold, bound) of the loosest threshold before the first that fails; None if the strictest does."""
    ordered = np.sort(confidence)[::-1]
    count, needed = len(ordered), images_needed(error)
    if count < needed:
        return None
    found = None
    for size in [*range(max(needed, count // FIRST), count, max(1, count // STEPS)), count]:
        threshold = float(ordered[size - 1]) if size < count else 0.0
        answers = confidence >= threshold
        units = len(np.unique(members[answers]))
        bound = error_bound(float(wrong[answers].mean()) * units, units)
        if bound > error:
            break
        found = threshold, bound
    return found
