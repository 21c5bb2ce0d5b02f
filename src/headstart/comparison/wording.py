"""Numbers and names as tables and sentences of a study write them."""

from __future__ import annotations

from collections.abc import Sequence

from headstart.comparison.intervals import Difference
from headstart.comparison.settings import SETTINGS
from headstart.comparison.summary import Result
from headstart.metrics.bootstrap import Interval


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


def score(value: float) -> str:
    """``0.451`` -> '45.1 %'."""
    return f"{100 * value:.1f} %"


def score_with_ci(interval: Interval) -> str:
    """'45.1 % (95 % CI 40.2 to 50.0)'."""
    return f"{score(interval.value)} (95 % CI {100 * interval.low:.1f} to {100 * interval.high:.1f})"


def points(value: float) -> str:
    """A difference of two scores: ``0.05`` -> '5.0 points'."""
    return f"{100 * value:.1f} points"


def gap_with_ci(interval: Interval) -> str:
    """The size of a significant difference, without its sign: '5.0 points (95 % CI 3.1 to 6.9)'."""
    low, high = sorted((abs(interval.low), abs(interval.high)))
    return f"{points(abs(interval.value))} (95 % CI {100 * low:.1f} to {100 * high:.1f})"


def difference_sentence(
    one: str, two: str, difference: Difference, images: str = "validation images", metric: str = "accuracy"
) -> str:
    """Whether two settings differ significantly, and what it would take to detect the gap.

    ``images`` names the evaluation images, ``metric`` the metric.
    """
    gap = difference.interval
    if difference.significant:
        better, worse = (one, two) if gap.value > 0 else (two, one)
        return f"{better} beats {worse} by {gap_with_ci(gap)}."
    start = f"{one} and {two} do not differ significantly on {difference.images:,} {images}"
    if difference.required_images is None:
        return f"{start}: their {metric} is the same."
    if difference.required_images > difference.images:
        return f"{start}; about {rounded(difference.required_images):,} would be needed to detect the gap."
    if difference.seeds > 1:
        return (
            f"{start} and {difference.seeds} seeds: the seeds vary, so that more seeds would help, more images hardly."
        )
    return f"{start} and one seed: more seeds would help, more images hardly."


def rounded(number: int) -> int:
    """To two significant digits: 7013 -> 7000."""
    return round(number, 2 - len(str(number)))


def listed(names: Sequence[str]) -> str:
    """'A', 'A and B', 'A, B and C'."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
