"""The answer of a study in a sentence or two: which setting to use, how sure that is, and what it costs."""

from __future__ import annotations

import itertools

from headstart.comparison.intervals import Difference
from headstart.comparison.metric import METRICS
from headstart.comparison.summary import Result, Results
from headstart.comparison.wording import gap_with_ci, label_share, listed, name, points
from headstart.metrics.written import decimals, score_with_ci


def candidates(results: Results) -> list[Result]:
    """The results with the most labels that no other setting beats significantly, highest score first.

    No two of them differ significantly, for one would beat the other.
    """
    at = results.at(results.largest_fraction) if results.largest_fraction is not None else []
    kept = [each for each in at if not any(_beats(results, other, each) for other in at)]
    return kept or at[:1]  # seeds that settings do not share can beat in a circle


def headline(results: Results) -> str:
    """What to use, in sentences that claim only what is significant."""
    kept = candidates(results)
    if not kept:
        failed = len(results.study.failed)
        if not failed:
            return "No trial is done yet: results appear here after the first."
        which = "the one trial that ended" if failed == 1 else f"all {failed} trials that ended"
        return f"No result yet: {which} failed."
    at = results.at(kept[0].fraction)
    if not any(each.score.low > results.study.majority_baseline for each in at):
        return (
            f"No answer yet: with {label_share(kept[0])}, no setting is significantly above always predicting the most"
            f" frequent class ({100 * results.study.majority_baseline:.1f} %)."
        )
    said = [_use(results, kept, at), *_over_scratch(results, kept, at), *_costs(kept)]
    return " ".join(said)


def _beats(results: Results, one: Result, two: Result) -> bool:
    gap = results.difference(one.setting, two.setting, one.fraction) if one is not two else None
    return gap is not None and gap.interval.low > 0


def _use(results: Results, kept: list[Result], at: list[Result]) -> str:
    """'With all 2,000 labels, use B or D (accuracy 82 to 83 %): they do not differ significantly.'"""
    first, metric = kept[0], METRICS[results.study.metric].title
    start = f"With {label_share(first)}, "
    if len(at) == 1:
        return f"{start}{name(first.setting)} reaches {metric} {score_with_ci(first.score)}; nothing is compared yet."
    pairs = [
        (one, two, results.difference(one.setting, two.setting, one.fraction))
        for one, two in itertools.combinations(at, 2)
        if one in kept or two in kept
    ]
    missing = [f"{one.setting} and {two.setting}" for one, two, gap in pairs if gap is None]
    if missing:
        return (
            f"{start}{name(first.setting)} has the highest {metric} so far, {score_with_ci(first.score)};"
            f" {listed(missing)} have no seed in common yet, and are not compared."
        )
    firsts = [(two if one is first else one, gap) for one, two, gap in pairs if first in (one, two)]
    near = [other for other, gap in firsts if gap is not None and not gap.significant]
    if len(kept) == 1 and near:  # each is below another that is below the first
        names = listed([name(each.setting) for each in near])
        return (
            f"{start}use {name(first.setting)}: no setting is significantly above its {metric},"
            f" {score_with_ci(first.score)}; it does not differ significantly from {names}."
        )
    if len(kept) == 1:
        return (
            f"{start}use {name(first.setting)}: it is best, with {metric} {score_with_ci(first.score)}, significantly"
            " above every other setting."
        )
    names = listed([name(each.setting) for each in kept], "or")
    return f"{start}use {names} ({metric} {_range(kept)}): they do not differ significantly."


def _range(kept: list[Result]) -> str:
    """'82 to 83 %': the lowest and the highest score, with the decimals that their intervals carry."""
    digits = min(decimals(each.score.low, each.score.high) for each in kept)
    ends = sorted({f"{100 * each.score.value:.{digits}f}" for each in kept}, key=float)
    return f"{ends[0]} %" if len(ends) == 1 else f"{ends[0]} to {ends[-1]} %"


def _over_scratch(results: Results, kept: list[Result], at: list[Result]) -> list[str]:
    """What the settings to use gain over training from scratch; nothing where that learned nothing."""
    if not any(each.setting == "A" for each in at):
        return [] if len(at) == 1 else ["There is no A (from scratch) to compare with, so there is no baseline."]
    if any(each.setting == "A" for each in kept):
        compared = [each.to_a is not None for each in at if each.setting not in "AG"]
        none_higher = bool(compared) and all(compared)
        return ["No pre-training scores significantly higher than A (from scratch)."] if none_higher else []
    if not results.scratch_learned:
        return []
    gains = {each.setting: each.to_a for each in kept if each.to_a is not None}
    above = [setting for setting, gap in gains.items() if gap.interval.low > 0]
    others = [setting for setting in gains if setting not in above]
    said = []
    if len(above) == 1:
        subject = "It beats" if len(kept) == 1 else f"{above[0]} beats"
        said.append(f"{subject} {name('A')} by {gap_with_ci(gains[above[0]].interval)}.")
    elif above:
        subject = "Both beat" if len(above) == len(kept) == 2 else f"{listed(above)} beat"
        said.append(f"{subject} {name('A')} by {_gains([gains[each] for each in above])}.")
    if others:
        verb = "does" if len(others) == 1 else "do"
        said.append(f"{listed(others)} {verb} not differ significantly from {name('A')}.")
    return said


def _gains(gaps: list[Difference]) -> str:
    """'6.1 to 7.9 points (95 % CI 3.2 to 10.3)': the interval reaches from the lowest end to the highest."""
    values = [100 * each.value for each in gaps]
    low, high = min(each.interval.low for each in gaps), max(each.interval.high for each in gaps)
    return f"{min(values):.1f} to {max(values):.1f} points (95 % CIs within {100 * low:.1f} to {100 * high:.1f})"


def _costs(kept: list[Result]) -> list[str]:
    """What a model of each of several settings to use takes, the fastest first."""
    if len(kept) < 2:
        return []
    fastest = sorted(kept, key=lambda each: each.seconds)
    return [f"A model takes {listed([f'{brief(each.seconds)} with {each.setting}' for each in fastest])}."]


def how_sure(results: Results) -> list[str]:
    """What the answer rests on, as short lines: images and seeds, and what could have been found."""
    study, kept = results.study, candidates(results)
    if not kept:
        return []
    images = f"{study.images:,} {'test' if study.split == 'test' else 'validation'} images"
    if study.groups is not None:
        images += f" of {len(set(study.groups)):,} groups"
    seeds = {each.seeds for each in results.at(kept[0].fraction)}
    counted = f"{min(seeds)}" if len(seeds) == 1 else f"{min(seeds)} to {max(seeds)}"
    said = [f"{images}, {counted} seed{'' if seeds == {1} else 's'} per setting."]
    gaps = _gaps(results, kept)
    if gaps:
        found = max(gap.detectable for gap in gaps)
        those = "those to use" if len(kept) > 1 else "the two highest"
        said.append(
            f"A true difference of {points(found)} between {those} would have been found with a power of 80 %; smaller"
            " ones may have been missed."
            if found < 1
            else f"No difference between {those}, however large, would have been found with a power of 80 %: the seeds"
            " differ too much."
        )
    if seeds == {1}:
        said.append("With one seed, the intervals leave out the randomness of training.")
    if study.shortened:
        said.append(f"Each training is short: {study.shortened}.")
    return said


def _gaps(results: Results, kept: list[Result]) -> list[Difference]:
    """The differences between the settings to use; of one alone, that to the next."""
    pairs = itertools.combinations(kept if len(kept) > 1 else results.at(kept[0].fraction)[:2], 2)
    found = (results.difference(one.setting, two.setting, one.fraction) for one, two in pairs)
    return [gap for gap in found if gap is not None]


def brief(seconds: float) -> str:
    """A time for a narrow column: '8 s', '15 min', '2.1 h'."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3570 else f"{seconds / 3600:.1f} h"
