"""Findings of a study in sentences: each is a function of numbers, and never claims what its interval denies."""

from __future__ import annotations

from collections.abc import Iterator

from headstart.comparison.cautions import (
    of_excluded,
    of_family,
    of_folds,
    of_given_weights,
    of_length,
    of_scratch,
    of_seeds,
    of_selection,
    of_tuning,
    of_weights,
)
from headstart.comparison.forecast_findings import of_forecasts
from headstart.comparison.intervals import Difference
from headstart.comparison.metric import METRICS
from headstart.comparison.more_time import of_more_time
from headstart.comparison.settings import SETTINGS
from headstart.comparison.summary import FROZEN, Result, Results
from headstart.comparison.warnings import warnings
from headstart.comparison.wording import (
    difference_sentence,
    gap_with_ci,
    improvement_sentence,
    label_share,
    listed,
    name,
    percent,
)
from headstart.metrics.written import score, score_with_ci

PAIRS = (("B", "C"), ("D", "E"), ("F", "B"))
"""Pairs compared whatever their rank: supervised or self-supervised weights, and continued pre-training or not."""


def findings(results: Results) -> list[str]:
    """All findings, the most important first."""
    return [
        *warnings(results),
        *of_ranking(results),
        *of_more_time(results),
        *of_improvement(results),
        *of_pairs(results),
        *of_label_multipliers(results),
        *of_forecasts(results),
        *of_harm(results),
        *of_freezing(results),
        *of_floor(results),
        *of_length(results),
        *of_scratch(results),
        *of_given_weights(results),
        *of_family(results),
        *of_folds(results),
        *of_weights(results),
        *of_selection(results),
        *of_tuning(results),
        *of_seeds(results),
        *of_excluded(results),
    ]


def of_ranking(results: Results) -> Iterator[str]:
    """The two highest scores with the most labels, and whether they differ significantly."""
    at = results.at(results.largest_fraction) if results.largest_fraction is not None else []
    if len(at) < 2:
        return
    first, second = at[0], at[1]
    gap = results.difference(first.setting, second.setting, first.fraction)
    start = (
        f"With {label_share(first)}, the highest {METRICS[results.study.metric].title} is that of"
        f" {name(first.setting)}: {score_with_ci(first.score)}; the next is that of {name(second.setting)}:"
        f" {score_with_ci(second.score)}."
    )
    yield f"{start} {_difference(results, first.setting, second.setting, gap)}" if gap else start


def _difference(results: Results, one: str, two: str, difference: Difference) -> str:
    images = "test images" if results.study.split == "test" else "validation images"
    return difference_sentence(one, two, difference, images, results.study.margin)


def of_improvement(results: Results) -> Iterator[str]:
    """The highest score with the most labels against training from scratch, as a probability."""
    at = results.at(results.largest_fraction) if results.largest_fraction is not None else []
    if at and at[0].to_a is not None and results.scratch_learned:
        yield improvement_sentence(name(at[0].setting), name("A"), at[0].to_a)


def of_pairs(results: Results) -> Iterator[str]:
    """Supervised against self-supervised weights, and the like; not the pair of `of_ranking`."""
    fraction = results.largest_fraction
    if fraction is None:
        return
    ranked = {each.setting for each in results.at(fraction)[:2]}
    labels = "all labels" if fraction == 1 else f"{percent(fraction)} of the labels"
    for one, two in PAIRS:
        gap = results.difference(one, two, fraction)
        if gap is not None and {one, two} != ranked:
            yield f"{name(one)} against {name(two)}, with {labels}: {_difference(results, one, two, gap)}"


def of_label_multipliers(results: Results) -> Iterator[str]:
    """For each setting but A and G the label multiplier at its fewest labels, within A's curve where possible."""
    if len(results.of("A")) < 2:
        if len(results.lines) > 1 and "A" in results.study.settings and len(results.study.fractions) < 2:
            yield "A label multiplier needs setting A with two label fractions or more: --labels 0.1,0.25,1."
        return
    for setting in results.study.settings:
        if setting not in "AG":
            known = [each for each in results.of(setting) if each.label_multiplier is not None]
            inside = [each for each in known if each.label_multiplier and not each.label_multiplier.beyond]
            for result in (inside or known)[:1]:
                yield multiplier_sentence(result)


def multiplier_sentence(result: Result) -> str:
    """The label multiplier of ``result``, which has one, and what its interval allows to conclude."""
    multiplier = result.label_multiplier
    assert multiplier is not None
    start = (
        f"{name(result.setting)} with {label_share(result)}: label multiplier {multiplier.text}"
        f" (95 % CI {multiplier.interval_text})"
    )
    if not result.multiplier_significant:
        return f"{start}: not distinguishable from training from scratch on the same {result.labels:,} labels."
    if multiplier.below_one:
        return f"{start}: training from scratch needs fewer labels for the same score."
    if multiplier.low_beyond == "more":  # the whole interval lies above A's curve
        most = round(result.labels * multiplier.upper_limit)
        return f"{start}: it beats training from scratch on {most:,} labels, the most tried."
    if multiplier.beyond:
        return f"{start}: training from scratch needs more labels for the same score."
    same = percent(multiplier.value * result.fraction)
    return f"{start}: it matches training from scratch with {same} of the labels."


def of_harm(results: Results) -> Iterator[str]:
    """Settings significantly below training from scratch, at the most labels where they are."""
    for setting in results.study.settings:
        below = [each for each in results.of(setting) if each.to_a is not None and each.to_a.interval.high < 0]
        if setting in "AG" or not below or below[-1].to_a is None:
            continue
        result, gap = below[-1], below[-1].to_a.interval
        if results.study.scratch and setting not in results.study.scratch_settings:  # another network
            why = "training from scratch scores higher"
        else:
            why = "frozen features do not suffice" if SETTINGS[setting].frozen else "pre-training hurts"
        also = f"; also with {listed([percent(each.fraction) for each in below[:-1]])}" if below[:-1] else ""
        yield f"With {label_share(result)}, {why}: {name(setting)} is below {name('A')} by {gap_with_ci(gap)}{also}."


def of_freezing(results: Results) -> Iterator[str]:
    """Frozen against fine-tuned weights, at the fewest and at the most labels that both have."""
    for frozen, tuned in FROZEN:
        common = [each for each in results.of(frozen) if results.difference(frozen, tuned, each.fraction)]
        for result in common if len(common) < 2 else (common[0], common[-1]):
            gap = results.difference(frozen, tuned, result.fraction)
            if gap is None or not gap.significant:
                continue
            better, worse = (frozen, tuned) if gap.interval.value > 0 else (tuned, frozen)
            what = "freezing the backbone" if better == frozen else "fine-tuning the whole backbone"
            yield (
                f"With {label_share(result)}, {what} pays: {name(better)} beats {name(worse)} by"
                f" {gap_with_ci(gap.interval)}."
            )


def of_floor(results: Results) -> Iterator[str]:
    """Random features against the majority-class baseline, and frozen features against random ones."""
    for floor in results.of("G")[-1:]:
        baseline = results.study.majority_baseline
        reached = f"{name('G')} reaches {score_with_ci(floor.score)}, the majority-class baseline {score(baseline)}."
        if floor.score.low > baseline:
            yield f"Random features beat the majority-class baseline: {reached} D and E need no pre-training for that."
        elif floor.score.high < baseline:
            yield f"Random features are below the majority-class baseline: {reached}"
        for setting in ("D", "E"):
            gap = results.difference(setting, "G", floor.fraction)
            if gap is not None and gap.interval.low <= 0:
                found = _difference(results, setting, "G", gap)
                yield f"{name(setting)} is not significantly above {name('G')}: {found}"
