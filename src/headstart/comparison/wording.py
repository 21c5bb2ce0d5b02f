"""Numbers and names as tables and sentences of a study write them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from headstart.comparison.intervals import MARGIN, Difference
from headstart.comparison.settings import SETTINGS
from headstart.comparison.summary import Result
from headstart.metrics.bootstrap import Interval
from headstart.metrics.written import decimals


def name(setting: str) -> str:
    """``"B"`` -> 'B (fine-tune supervised)'."""
    return SETTINGS[setting].name


def percent(fraction: float) -> str:
    """A label fraction: ``0.1`` -> '10 %', ``0.025`` -> '2.5 %'."""
    return f"{100 * fraction:.3g} %" if fraction < 0.0995 else f"{100 * fraction:.0f} %"


def label_share(result: Result) -> str:
    """'all 2,000 labels', '10 % of the labels (200)'."""
    if result.fraction == 1:
        return f"all {result.labels:,} labels"
    return f"{percent(result.fraction)} of the labels ({result.labels:,})"


def points(value: float) -> str:
    """A difference of two scores: ``0.05`` -> '5.0 points'."""
    return f"{100 * value:.1f} points"


def gap_with_ci(interval: Interval) -> str:
    """The size of a significant difference, without its sign: '5.0 points (95 % CI 3.1 to 6.9)'.

    An end that is not 0 is not written as 0.
    """
    low, high = sorted((abs(interval.low), abs(interval.high)))
    digits = decimals(low, high)
    while digits < 4 and not float(f"{100 * low:.{digits}f}"):
        digits += 1
    return f"{100 * abs(interval.value):.{digits}f} points (95 % CI {100 * low:.{digits}f} to {100 * high:.{digits}f})"


def difference_sentence(
    one: str, two: str, difference: Difference, images: str = "validation images", margin: float = MARGIN
) -> str:
    """Which of two settings scores higher, or that they are equivalent, or what a study like this can find.

    ``images`` names the evaluation images; differences up to ``margin`` are none.
    """
    gap = difference.interval
    if difference.significant:
        better, worse = (one, two) if gap.value > 0 else (two, one)
        small = f", which is within {plain_points(margin)}" if difference.within(margin) else ""
        return f"{better} beats {worse} by {gap_with_ci(gap)}{small}."
    if difference.within(margin):
        return (
            f"{one} and {two} are within {plain_points(margin)} of each other (95 % CI {100 * gap.low:+.1f} to"
            f" {100 * gap.high:+.1f})."
        )
    seeds = "one seed" if difference.seeds == 1 else f"{difference.seeds} seeds"
    more = _more_seeds(difference, images)
    return (
        f"{one} and {two} do not differ significantly on {difference.images:,} {images} and {seeds};"
        f" {findable(difference.detectable)} would have been found with a power of 80 %{more}."
    )


def findable(difference: float) -> str:
    """``a difference of 3.1 points``; what is more than all that there is, is none."""
    return f"a difference of {points(difference)}" if difference < 1 else "no difference, however large,"


def _more_seeds(difference: Difference, images: str) -> str:
    """What more seeds would find, or that they would not help."""
    if difference.seeds == 1:
        return ""
    seeds = max(10, 2 * difference.seeds)
    found = difference.detectable_with(seeds)
    if found > 0.8 * difference.detectable:
        return f"; with {seeds} seeds one of {points(found)}: the {images} are what limits it"
    return f"; with {seeds} seeds one of {points(found)}"


def plain_points(margin: float) -> str:
    """``0.02`` -> '2 points', ``0.01`` -> '1 point'."""
    return f"{100 * margin:.3g} point{'' if np.isclose(margin, 0.01) else 's'}"


def improvement_sentence(one: str, two: str, difference: Difference) -> str:
    """How likely the first setting scores higher when the comparison is made once more, for readers without statistics.

    The probability is rounded down to per cents, and never 100 %.
    """
    chance = f"{min(int(100 * difference.improvement), 99)} %" if difference.improvement < 0.99 else "over 99 %"
    what = "another seed and other images" if difference.seeds > 1 else "other images"
    return (
        f"Made once more, with {what} of the same kind and number, {one} would score above {two} with a probability"
        f" of {chance}."
    )


def listed(names: Sequence[str], last: str = "and") -> str:
    """'A', 'A and B', 'A, B and C'."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {last} {names[-1]}"
