"""From the arguments of `headstart study` to a plan, and to a study that is ready to run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

from headstart.comparison.intervals import MARGIN
from headstart.comparison.more_time import MOST_SEEDS
from headstart.data.dataset import Dataset, open_dataset
from headstart.data.outside import refuse_results_inside
from headstart.errors import HeadstartError
from headstart.recipes import recipe as recipes
from headstart.recipes.recipe import Recipe
from headstart.runs.lifecycle import refuse_inside_run
from headstart.studies.budget import fit_budget
from headstart.studies.defaults import (
    default_fractions,
    default_pretraining,
    default_recipe,
    default_scratch,
    default_window,
    tune_from,
)
from headstart.studies.plan import Plan
from headstart.studies.plan_validation import validate_plan
from headstart.studies.refinement import refined
from headstart.studies.resume import exists, requested_pretraining, require_free
from headstart.studies.runner import StudyRunner
from headstart.studies.time_estimate import estimate
from headstart.studies.worker import torch_threads
from headstart.studies.workers import InProcess, Workers

PathLike = str | os.PathLike[str]
DEFAULT_SEEDS = 3
SIZES = ("augment.sizes", "val.image_size")
"""Fields that a recipe needs changed with `data.image_size`."""


class StudyOptions(TypedDict, total=False):
    """What a study is asked for: of `headstart study`, of `headstart.study` and of `make_plan`. None is the default."""

    unlabeled: PathLike | None
    """Images to pre-train on without labels; by default the training images."""
    corpus: PathLike | None
    """Labeled images to pre-train on; by default the recipe's weights."""
    settings: str | None
    """Letters A to G; by default ABCDE."""
    labels: Sequence[float] | None
    """Label fractions; by default those of 0.05, 0.1, 0.25, 0.5 and 1 that leave every class an image, or as many of
    them as a budget allows."""
    seeds: int | None
    """Random seeds per setting; by default 3, or as many of them as a budget allows."""
    out: PathLike | None
    """The study's folder; by default runs/study-DATA."""
    recipe: str | Recipe | None
    """Base recipe of every trial; by default `quick`, for images with masks `segment-quick`. With `quick` by default,
    and unless ``overrides`` change more than its images, `scratch-quick` trains what starts from random weights."""
    pretraining: str | Recipe | None
    """Recipe of the self-supervised pre-training; by default `emp-ssl-quick`, for images with masks `byol-tiles`."""
    overrides: Mapping[str, Any] | None
    """Changes to the fields of ``recipe``."""
    tune: bool | None
    """Whether each setting's learning rate is tuned on training images; by default it is, where a budget has time."""
    pretrainings: int | None
    """Pre-trainings of each kind of weights, at most one for each seed; by default 1, or as many as there are seeds
    where a budget has time for them."""
    folds: int
    """Validate on so many parts of the images in turn; by default 1, the validation split."""
    margin: float
    """Points within which two settings are equivalent; by default 2."""
    target: float | None
    """The score, in per cent, that more labels are forecast for; by default the next round one above the best."""


def make_plan(data: PathLike | Dataset, **options: Unpack[StudyOptions]) -> Plan:
    """The plan of a study, with the defaults of `StudyOptions`; nothing is written or trained.

    Raises HeadstartError for a folder or recipe that cannot be read, and TypeError for another option.
    """
    unknown = options.keys() - StudyOptions.__annotations__
    if unknown:
        raise TypeError(f"a study has no option {min(unknown)}; it has {', '.join(StudyOptions.__annotations__)}")
    dataset = data if isinstance(data, Dataset) else Dataset(data)
    unlabeled, corpus = _path(options.get("unlabeled")), _path(options.get("corpus"))
    out = Path(options.get("out") or Path("runs") / f"study-{Path(dataset.root).absolute().name}")
    _require_outside(out, [dataset.root, *(each for each in (unlabeled, corpus) if each is not None)])
    recipe, pretraining, labels = options.get("recipe"), options.get("pretraining"), options.get("labels")
    overrides = dict(options.get("overrides") or {})
    as_shipped = recipe is None and all(name.startswith("data.") or name in SIZES for name in overrides)
    if recipe is None:
        recipe = default_recipe(dataset)
        overrides = {**default_window(dataset, _load(recipe)), **overrides}
    base = _load(recipe, overrides)
    # Only a segmentation study may be pre-trained on either; a classification study wants labels.
    corpus_target = dataset.open(corpus).target(base.data) if corpus is not None and base.task == "segment" else "label"
    settings = None if (letters := options.get("settings")) is None else "".join(letters)
    if isinstance(labels, str):
        raise HeadstartError(f"labels: expected numbers such as [0.1, 1], found {labels!r}", "labels=[0.1, 1]")
    seeds, tune, asked = options.get("seeds"), options.get("tune"), set(options.get("overrides") or ())
    given = {
        "image_size": bool(asked & {"data.image_size", "augment.sizes"}) or isinstance(recipe, Recipe),
        "epochs": "train.epochs" in asked or isinstance(recipe, Recipe),
        "start": bool(asked & {"head.start", "head.hidden", "backbone.freeze_batchnorm"}) or isinstance(recipe, Recipe),
        "fractions": labels is not None,
        "seeds": seeds is not None,
        "tuned": tune is not None,
        "pretraining": isinstance(pretraining, Recipe),
        "pretrainings": options.get("pretrainings") is not None,
    }
    fractions = tuple(labels) if labels is not None else default_fractions(dataset, base)
    return Plan(
        data=dataset.root,
        out=out,
        recipe=base,
        pretraining=_load(pretraining or requested_pretraining(out) or default_pretraining(base)),
        settings="ABCDE" if settings is None else settings.upper(),
        scratch=default_scratch(dataset, base) if as_shipped else None,
        fractions=fractions,
        seeds=tuple(range(DEFAULT_SEEDS if seeds is None else seeds)),
        tuned=tune is not False,
        tune_from=tune_from(dataset, base, fractions) if tune is not False else 1.0,
        pretrainings=1 if (pretrainings := options.get("pretrainings")) is None else pretrainings,
        folds=options.get("folds", 1),
        margin=options.get("margin", 100 * MARGIN),
        target_score=options.get("target"),
        unlabeled=unlabeled,
        corpus=corpus,
        corpus_target=corpus_target,
        free=frozenset(name for name, is_given in given.items() if not is_given),
    )


def prepare_study(
    plan: Plan,
    dataset: str | Dataset | None = None,
    *,
    workers: Workers | None = None,
    budget: float | None = None,
    at_least: bool = False,
) -> tuple[StudyRunner, dict[str, float]]:
    """A runner of the plan, and the estimated seconds of each remaining training, by name.

    ``budget``, in seconds, chooses what a new study trains (`studies.budget`), and what is added to a finished one; a
    study under way goes on as it began. Raises HeadstartError as `StudyRunner` does, and for too short a budget unless
    the smallest study is taken then, with ``at_least``.
    """
    dataset = open_dataset(plan.data if dataset is None else dataset)
    workers = InProcess() if workers is None else workers
    with torch_threads(workers.threads):
        if exists(plan):
            runner = StudyRunner(plan, dataset, workers=workers)
            seconds = estimate(runner.plan, dataset, runner.finished())
            rest = None if budget is None or seconds else prepare_rest(runner, plan, budget, MOST_SEEDS)
            return rest or (runner, seconds)
        validate_plan(plan)
        require_free(plan)
        if budget is None:
            runner = StudyRunner(plan, dataset, workers=workers)
            return runner, estimate(plan, dataset)
        shortened, seconds = fit_budget(plan, dataset, budget, max(1, workers.count()), at_least=at_least)
    return StudyRunner(shortened, dataset, workers=workers), seconds


def prepare_rest(
    runner: StudyRunner, asked: Plan, budget: float, most_seeds: int
) -> tuple[StudyRunner, dict[str, float]] | None:
    """A runner of what a finished study can have more of in ``budget`` seconds, with at most so many seeds.

    With the estimated seconds of each training, as `prepare_study`. None where that is nothing, or a trial has failed.
    """
    if runner.study.failed:
        return None
    allowed = budget * max(1, runner.workers.count())
    larger = refined(runner.plan, asked, runner.study, allowed, most_seeds)
    if larger is None:
        return None
    runner = StudyRunner(larger, runner.dataset, workers=runner.workers)
    with torch_threads(runner.workers.threads):
        return runner, estimate(larger, runner.dataset, runner.finished())


def _require_outside(out: Path, images: Sequence[str]) -> None:
    """Raise HeadstartError for a study or race that would be begun among its images; one that is there goes on."""
    if not any((out / name).exists() for name in ("study.json", "race.json", "requested.toml")):
        refuse_results_inside(out, images)
        refuse_inside_run(out)


def _path(path: PathLike | None) -> str | None:
    return None if path is None else os.fspath(path)


def _load(recipe: str | Recipe, overrides: Mapping[str, Any] | None = None) -> Recipe:
    return recipes.load(recipe, overrides) if isinstance(recipe, str) else recipes.override(recipe, overrides)
