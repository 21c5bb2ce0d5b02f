"""A study by cross-validation: a study for each fold in `folds/1`, `folds/2`, ..., and one table of all.

Every image is evaluated once per seed, by a training that had it in no part: not in the selection of learning rates,
nor in pre-training on the same folder. The first fold's plan, which a budget may have shortened, is that of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median_low
from typing import Any

import numpy as np

from headstart.comparison.study import Study, Trial
from headstart.comparison.summary import Results
from headstart.comparison.table import table_rows
from headstart.comparison.trial_paths import FOLDS
from headstart.data.dataset import Dataset
from headstart.errors import HeadstartError
from headstart.files import table, write_atomically
from headstart.recipes.recipe import override
from headstart.report.study_page import write_study_page
from headstart.studies.plan import Plan
from headstart.studies.resume import load_existing


def require_folds(plan: Plan, dataset: Dataset) -> None:
    """Raise HeadstartError for folds that cannot be, and in the folder of a study with other folds, or without."""
    parts = plan.out / FOLDS
    stored = len(list(parts.iterdir())) if parts.is_dir() else 1 if (plan.out / "trials").exists() else 0
    if stored not in (0, plan.folds):
        raise HeadstartError(
            f"{plan.out}: expected the folds of its study ({stored if stored > 1 else 'none'}), found"
            f" {plan.folds if plan.folds != 1 else 'none'} requested",
            "choose another --out",
        )
    if plan.folds == 1:
        return
    if plan.folds < 2:
        raise HeadstartError(f"--folds: expected 2 or more, found {plan.folds}", "--folds 5")
    if plan.masks:
        raise HeadstartError(f"--folds {plan.folds}: expected images with classes, found masks", "leave --folds out")
    scanned = dataset.scan(plan.recipe.data)
    for split in ("val", "test"):
        if scanned.positions(split):
            raise HeadstartError(
                f"--folds {plan.folds}: expected images without a split, found {len(scanned.positions(split))} {split}"
                f" images in {plan.data}",
                "leave --folds out, or name the folder of all images",
            )
    for part in fold_plans(plan):
        dataset.index(part.recipe.data)


def fold_plans(plan: Plan) -> list[Plan]:
    """The plan of each fold's study."""
    return [
        replace(
            plan,
            out=plan.out / FOLDS / str(number),
            recipe=override(plan.recipe, {"data.fold": [number, plan.folds]}),
            folds=1,
        )
        for number in range(1, plan.folds + 1)
    ]


def as_first(part: Plan, first: Plan) -> Plan:
    """The plan of another fold with what a budget chose for the first one, which has begun."""
    begun, fold = load_existing(first), part.recipe.data.fold
    assert fold is not None
    return replace(
        part,
        recipe=override(begun.recipe, {"data.fold": list(fold)}),
        pretraining=begun.pretraining,
        scratch=begun.scratch,
        scratch_settings=begun.scratch_settings,
        fractions=begun.fractions,
        seeds=begun.seeds,
        pretrainings=begun.pretrainings,
        tune_from=begun.tune_from,
        requested=(part.recipe, part.pretraining),
    )


def merged(plan: Plan, studies: Sequence[Study]) -> Study:
    """One study of all folds: its trials are those that every fold has finished, on the images of all."""
    first, images = studies[0], [study.images for study in studies]
    trials = []
    for trial in first.trials:
        of_folds = [_same(study, trial) for study in studies]
        done = [each for each in of_folds if each is not None]
        if len(done) == len(studies):
            trials.append(_joined(done, images))
    groups = None
    if any(study.groups is not None for study in studies):
        groups, start = list[int](), 0
        for study in studies:
            own = range(study.images) if study.groups is None else study.groups
            groups += [start + each for each in own]
            start = max(groups) + 1
    return Study.model_validate(
        {
            **dict(first),
            "name": plan.out.name,
            "folds": plan.folds,
            "trials": tuple(trials),
            "groups": groups and tuple(groups),
            "majority_baseline": _mean([study.majority_baseline for study in studies], images),
        }
    )


def write_merged(plan: Plan, study: Study) -> None:
    """Write `study.json`, `table.csv` and `report.html` of all folds."""
    results = Results(study)
    write_atomically(plan.out / "study.json", study.to_json().encode())
    write_atomically(plan.out / "table.csv", table(table_rows(results)))
    write_study_page(plan.out, results)


def _same(study: Study, trial: Trial) -> Trial | None:
    """The trial of another fold; the one that failed, where one did, and None where it is not done."""
    key = (trial.setting, trial.fraction, trial.seed)
    return next((each for each in study.trials if (each.setting, each.fraction, each.seed) == key), None)


def _joined(trials: Sequence[Trial], images: Sequence[int]) -> Trial:
    """One trial of all folds: scores of all images, sums of the costs, means of the rest; or its first error."""
    first = trials[0]
    failed = [trial for trial in trials if trial.error is not None]
    if failed:
        return failed[0]

    def mean(name: str) -> float | None:
        values = [getattr(trial, name) for trial in trials]
        return None if None in values else _mean(values, images)

    summed = {name: sum(getattr(t, name) for t in trials) for name in ("seconds_tune", "seconds_train", "images_seen")}
    pretrained = [trial.seconds_pretrain for trial in trials if trial.seconds_pretrain is not None]
    joined: dict[str, Any] = {
        "correct": np.concatenate([trial.correct for trial in trials if trial.correct is not None]),
        "labels": round(_mean([trial.labels for trial in trials], images)),
        # The selected value of a fold, not a mean that none of them used.
        "chosen": {name: median_low([trial.chosen[name] for trial in trials]) for name in first.chosen},
        "seconds_pretrain": sum(pretrained) if pretrained else None,
        **{name: mean(name) for name in ("ece", "knn", "optimism")},
        **summed,
    }
    return Trial.model_validate({**dict(first), **joined})


def _mean(values: Sequence[float], images: Sequence[int]) -> float:
    return float(np.average(values, weights=images))
