"""What more time would buy: the seeds after which a difference would be found, and how long they take."""

from __future__ import annotations

from collections.abc import Iterator

from headstart.comparison.intervals import Difference
from headstart.comparison.settings import SETTINGS
from headstart.comparison.study import Study
from headstart.comparison.summary import Results
from headstart.comparison.wording import name, plain_points, points

MOST_SEEDS = 10
"""Seeds up to which a study is planned, and up to which the power holds that is promised (docs/statistics.md)."""
LIMITLESS = 10_000
"""So many seeds leave only the variance between images."""


def seeds_needed(difference: Difference, true: float) -> int | None:
    """The fewest seeds that find a ``true`` difference with a power of 80 %; None where `MOST_SEEDS` do not."""
    for seeds in range(difference.seeds, MOST_SEEDS + 1):
        if difference.detectable_with(seeds) <= abs(true):
            return seeds
    return None


def of_more_time(results: Results) -> Iterator[str]:
    """Of the comparisons with the most labels that are neither significant nor equivalent, what more seeds would say.

    First that of the two highest scores, then that of the highest with A: for a true difference as large as the one
    observed, at least the margin.
    """
    at = results.at(results.largest_fraction) if results.largest_fraction is not None else []
    margin = results.study.margin
    for other in dict.fromkeys([*(each.setting for each in at[1:2]), "A"]):
        found = results.difference(at[0].setting, other, at[0].fraction) if at and other != at[0].setting else None
        if found is not None and found.seeds > 1 and not found.significant and not found.within(margin):
            yield _sentence(results, name(at[0].setting), name(other), found)


def _sentence(results: Results, one: str, two: str, found: Difference) -> str:
    study = results.study
    true = max(abs(found.value), study.margin)
    size = f"{plain_points(study.margin)} (the margin)" if true == study.margin else f"{points(true)}, as seen"
    start = f"More time: if {one} and {two} truly differ by {size},"
    needed, images = seeds_needed(found, true), "test images" if study.split == "test" else "validation images"
    if needed is not None:
        more = max(needed - found.seeds, 1)
        return (
            f"{start} {more} more {'seed' if more == 1 else 'seeds'} (about"
            f" {_time(more * seconds_of_seed(study))} of training) would show it with a power of 80 %."
        )
    if found.detectable_with(LIMITLESS) > true:
        return f"{start} no time will show it with a power of 80 %: the {study.images:,} {images} are what limits it."
    return f"{start} more than {max(MOST_SEEDS, found.seeds)} seeds would be needed to show it with a power of 80 %."


def seconds_of_seed(study: Study) -> float:
    """What one more seed of the whole grid takes, by the mean of the trials that were trained.

    With its own pre-training, where each seed has one.
    """
    grid = ((setting, fraction) for setting in study.settings for fraction in study.fractions)
    trained = [[trial.seconds_train for trial in study.at(*key)] for key in grid]
    seconds = sum(sum(each) / len(each) for each in trained if each)
    if study.pretrainings == len(study.seeds) > 1:
        pretrained = {
            (SETTINGS[trial.setting].start, trial.pretraining): trial.seconds_pretrain
            for trial in study.trials
            if trial.seconds_pretrain is not None
        }
        seconds += sum(pretrained.values()) / study.pretrainings
    return seconds


def _time(seconds: float) -> str:
    whole = max(1, round(seconds / 60))
    return f"{whole} min" if whole < 120 else f"{whole / 60:.1f} h"
