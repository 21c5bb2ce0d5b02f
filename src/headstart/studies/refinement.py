"""A finished study with time left, or a larger budget: label fractions, seeds and their pre-trainings are added."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from headstart.comparison.more_time import MOST_SEEDS
from headstart.comparison.study import Study
from headstart.studies.budget import FILL, nearest
from headstart.studies.plan import PRETRAINING_OF, Plan
from headstart.studies.rungs import LADDER


def refined(plan: Plan, asked: Plan, study: Study, budget: float, most_seeds: int = MOST_SEEDS) -> Plan | None:
    """The plan of a finished study with more label fractions and seeds, as many as ``budget`` allows.

    ``asked`` is the plan without a budget, which counts the seconds of one worker. Trials that were trained stay; what
    one takes is known from them. None where nothing is left to add, or the budget is too short for it.
    """
    best = None
    for fractions, seeds in _larger_grids(plan, asked, most_seeds):
        new = {(setting, share, seed) for setting in plan.settings for share in fractions for seed in seeds}
        new -= {(trial.setting, trial.fraction, trial.seed) for trial in study.trials if trial.error is None}
        larger = replace(plan, fractions=fractions, seeds=seeds)
        if plan.pretrainings == len(plan.seeds) > 1:  # a seed has one of its own
            larger = replace(larger, pretrainings=len(seeds))
        seconds = sum(_mean_seconds(study, setting) for setting, _, _ in new)
        tunings = len(set(larger.tuned_at) - set(plan.tuned_at))
        seconds += tunings * sum(_mean_seconds(study, each, "seconds_tune") for each in plan.tuned_settings())
        if seconds + _seconds_of_pretrainings(larger, study) > FILL * budget:
            break
        best = larger
    return best


def added(before: Plan, larger: Plan) -> str:
    """What a refinement adds: ``10% of the labels, 2 seeds``."""
    shares = ", ".join(f"{each:.0%}" for each in larger.fractions if each not in before.fractions)
    seeds = len(larger.seeds) - len(before.seeds)
    words = [f"{shares} of the labels"] * bool(shares) + [f"{seeds} seed{'s' * (seeds > 1)}"] * bool(seeds)
    return ", ".join(words)


def _larger_grids(plan: Plan, asked: Plan, most_seeds: int) -> Iterator[tuple[tuple[float, ...], tuple[int, ...]]]:
    """Label fractions and seeds beyond those of the plan, fewest first: the seeds asked for, fractions, more seeds.

    The fractions come in the order of a budget's.
    """
    fractions, seeds = plan.fractions, plan.seeds
    first = [nearest(asked.fractions, share) for rung in LADDER for share in rung.fractions]
    missing = [share for share in dict.fromkeys((*first, *asked.fractions)) if share not in fractions]
    while True:
        if len(seeds) < len(asked.seeds):
            seeds = asked.seeds[: len(seeds) + 1]
        elif missing and "fractions" in plan.free:
            fractions = tuple(sorted((*fractions, missing.pop(0))))
        elif "seeds" in plan.free and len(seeds) < most_seeds:
            seeds = tuple(range(len(seeds) + 1))
        else:
            return
        yield fractions, seeds


def _mean_seconds(study: Study, setting: str, cost: str = "seconds_train") -> float:
    """What a trial of the setting took, or with ``seconds_tune`` the search for its learning rate, in the mean."""
    trials = [trial for trial in study.trials if trial.setting == setting and trial.error is None]
    return sum(getattr(trial, cost) or 0.0 for trial in trials) / len(trials) if trials else 0.0


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
