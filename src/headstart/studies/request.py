"""From the arguments of `headstart study` to a plan, and to a study that is ready to run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headstart.data.dataset import Dataset, open_dataset
from headstart.recipes import recipe as recipes
from headstart.recipes.recipe import Recipe
from headstart.studies.plan import Plan, default_fractions, default_pretraining, default_recipe
from headstart.studies.resume import exists
from headstart.studies.runner import StudyRunner
from headstart.studies.time_estimate import estimate, fit_budget

PathLike = str | os.PathLike[str]


def make_plan(
    data: PathLike | Dataset,
    *,
    unlabeled: PathLike | None = None,
    corpus: PathLike | None = None,
    settings: str = "ABCDE",
    labels: Sequence[float] | None = None,
    seeds: int = 3,
    out: PathLike | None = None,
    recipe: str | Recipe | None = None,
    pretraining: str | Recipe | None = None,
    overrides: Mapping[str, Any] | None = None,
    tune: bool = True,
) -> Plan:
    """The plan of a study, with the defaults of `headstart.study`; nothing is written or trained.

    Raises HeadstartError for a folder or recipe that cannot be read.
    """
    dataset = data if isinstance(data, Dataset) else Dataset(data)
    base = _load(default_recipe(dataset) if recipe is None else recipe, overrides)
    other = None if corpus is None else os.fspath(corpus)
    # Only a segmentation study may be pre-trained on either; a classification study wants labels.
    corpus_target = dataset.open(other).target(base.data) if other is not None and base.task == "segment" else "label"
    return Plan(
        data=dataset.root,
        out=Path(out) if out is not None else Path("runs") / f"study-{Path(dataset.root).absolute().name}",
        recipe=base,
        pretraining=_load(default_pretraining(base) if pretraining is None else pretraining),
        settings=settings.upper(),
        fractions=tuple(labels) if labels is not None else default_fractions(dataset, base),
        seeds=tuple(range(seeds)),
        tuned=tune,
        unlabeled=None if unlabeled is None else os.fspath(unlabeled),
        corpus=other,
        corpus_target=corpus_target,
    )


def prepare_study(
    plan: Plan, dataset: str | Dataset | None = None, *, jobs: int = 1, budget: float | None = None
) -> tuple[StudyRunner, dict[str, float]]:
    """A runner of the plan, and the estimated seconds of each remaining training, by name.

    ``budget``, in seconds, shortens the trainings of a new study to fit; a study that has started keeps its epochs.
    Raises HeadstartError as `StudyRunner` does, and for a budget that is too short.
    """
    dataset = open_dataset(plan.data if dataset is None else dataset)
    runner = StudyRunner(plan, dataset, jobs=jobs)
    if budget is None or exists(plan):
        return runner, estimate(runner.plan, dataset, runner.finished())
    shortened, seconds = fit_budget(plan, dataset, budget)
    return StudyRunner(shortened, dataset, jobs=jobs), seconds


def _load(recipe: str | Recipe, overrides: Mapping[str, Any] | None = None) -> Recipe:
    return recipes.load(recipe, overrides) if isinstance(recipe, str) else recipes.override(recipe, overrides)
