"""A finished study and a larger budget: label fractions, seeds and their pre-trainings are added to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from headstart.comparison.more_time import MOST_SEEDS
from headstart.comparison.study import Study
from headstart.studies.budget import FILL
from headstart.studies.plan import PRETRAINING_OF, Plan


def refined(plan: Plan, asked: Plan, study: Study, budget: float) -> Plan | None:
    """The plan of a finished study with more label fractions and seeds, as many as ``budget`` (in seconds) allows.

    ``asked`` is the plan without a budget. Trials that were trained stay; what one takes is known from them. None where
    nothing is left to add, or the budget is too short for it.
    """
    best = None
    for fractions, seeds in _larger_grids(plan, asked):
        new = {(setting, share, seed) for setting in plan.settings for share in fractions for seed in seeds}
        new -= {(trial.setting, trial.fraction, trial.seed) for trial in study.trials if trial.error is None}
        larger = replace(plan, fractions=fractions, seeds=seeds)
        if plan.pretrainings == len(plan.seeds) > 1:  # a seed has one of its own
            larger = replace(larger, pretrainings=len(seeds))
        seconds = sum(_seconds_of_trial(study, setting) for setting, _, _ in new)
        if seconds + _seconds_of_pretrainings(larger, study) > FILL * budget:
            break
        best = larger
    return best


def _larger_grids(plan: Plan, asked: Plan) -> Iterator[tuple[tuple[float, ...], tuple[int, ...]]]:
    """Label fractions and seeds beyond those of the plan, fewest first: a label fraction more, then a seed more."""
    fractions, seeds = plan.fractions, plan.seeds
    missing = [share for share in sorted(asked.fractions, reverse=True) if share not in fractions]
    while True:
        if len(seeds) < len(asked.seeds):
            seeds = asked.seeds[: len(seeds) + 1]
        elif missing and "fractions" in plan.free:
            fractions = tuple(sorted((*fractions, missing.pop(0))))
        elif "seeds" in plan.free and len(seeds) < MOST_SEEDS:
            seeds = tuple(range(len(seeds) + 1))
        else:
            return
        yield fractions, seeds


def _seconds_of_trial(study: Study, setting: str) -> float:
    """What a trial of the setting took, in the mean."""
    seconds = [trial.seconds_train for trial in study.trials if trial.setting == setting and trial.error is None]
    return sum(seconds) / len(seconds) if seconds else 0.0


def _seconds_of_pretrainings(plan: Plan, study: Study) -> float:
    """What the pre-trainings take that the study has not, in the mean of those that it has."""
    known: dict[str, dict[int, float]] = {}
    for trial in study.trials:
        if trial.seconds_pretrain is not None and PRETRAINING_OF.get(trial.setting) in plan.pretrained_kinds():
            known.setdefault(PRETRAINING_OF[trial.setting], {})[trial.pretraining] = trial.seconds_pretrain
    return sum(
        (plan.pretrainings - len(each)) * sum(each.values()) / len(each)
        for each in known.values()
        if len(each) < plan.pretrainings
    )
