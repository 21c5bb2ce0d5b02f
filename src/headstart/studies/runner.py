"""The study: how much does each kind of pre-training buy, on these images? Many fits, one table.

Every trial, pre-training and choice of a learning rate is a run folder below the study's own, so a study that was
stopped goes on where it stood; `study.json` holds what came of the trials, and is written after each.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from headstart.comparison.study import Excluded, Study, Trial, read_study
from headstart.comparison.summary import Results, table_rows
from headstart.data.pixels import Pixels, decode
from headstart.data.splits import label_subset, training_index
from headstart.environment import environment
from headstart.errors import HeadstartError
from headstart.files import table, write_atomically
from headstart.recipes.recipe import Recipe
from headstart.report.study_page import write_study_page
from headstart.runs.folder import RunFolder
from headstart.studies import resume as asked
from headstart.studies.plan import CONTINUED, PRETRAINING_OF, SUPERVISED, Plan, trial_name, validate_plan
from headstart.studies.trial import majority_baseline, read_trial
from headstart.tasks import task_named

if TYPE_CHECKING:
    from headstart.training.loop import Epoch, Step

Done = Callable[[str, float], None]
"""Called with (the run that is under way, the share of it that was done since the last call)."""


@dataclass
class StudyRun:
    """A study under way."""

    plan: Plan
    study: Study
    pixels: Pixels
    done: Done
    jobs: int = 1
    lr: dict[str, float] = field(default_factory=dict)
    """Setting -> the learning rate that was chosen."""
    tuning_seconds: dict[str, float] = field(default_factory=dict)
    pretraining_seconds: dict[str, float] = field(default_factory=dict)

    def finished(self) -> frozenset[str]:
        """The names of the trainings that were done before."""
        plan = self.plan
        pretrainings = ((plan.pretrain(kind)[0].name, plan.folder(kind)) for kind in plan.pretrainings())
        tunings = (
            (recipe.name, place)
            for setting in plan.tuned_settings()
            for place, recipe in plan.tunings(setting).values()
        )
        runs = [name for name, place in (*pretrainings, *tunings) if place.is_dir() and RunFolder(place).finished]
        return frozenset(
            [*runs, *(trial_name(trial.setting, trial.fraction, trial.seed) for trial in self.study.trials)]
        )


def prepare(plan: Plan, done: Done = lambda *_: None, jobs: int = 1) -> StudyRun:
    """Decode the images, refuse what cannot be carried out, and take up what was done before.

    The plan that is taken up is the folder's, whose epochs a budget may have chosen. Raises HeadstartError for a plan,
    data or label fractions that cannot be used, and for a folder that holds a study of another grid, recipe or data.
    """
    plan = asked.load_existing(plan)
    validate_plan(plan)
    index = training_index(plan.data, plan.recipe.data, "mask" if plan.masks else "label")
    for fraction in plan.fractions:
        label_subset(index, fraction, plan.seeds[0])
    for kind in plan.pretrainings():
        recipe, data = plan.pretrain(kind)
        training_index(data, recipe.data, task_named(recipe.task).target)
    pixels = decode(index, plan.recipe.data)
    split = "test" if pixels.index.positions("test") else "val"
    study = Study(
        name=plan.out.name,
        data=plan.data,
        classes=len(pixels.index.classes),
        majority_baseline=majority_baseline(pixels, split),
        metric=plan.metric,
        settings=tuple(plan.settings),
        fractions=plan.fractions,
        seeds=plan.seeds,
        split=split,
        tuned=plan.tuned,
        fingerprint=pixels.fingerprint,
        environment=environment(),
    )
    return StudyRun(plan, _taken_up(plan, study), pixels, done, jobs)


def _taken_up(plan: Plan, study: Study) -> Study:
    """``study`` with the trials that were done before."""
    if not asked.exists(plan):
        written = asked.files(plan)  # they come before study.json
        if plan.out.exists() and any(other.name not in written for other in plan.out.iterdir()):
            raise HeadstartError(
                f"{plan.out}: expected a free folder for the study, found other files", "choose another --out"
            )
        return study
    before = read_study(plan.out / "study.json")
    for name in ("data", "fingerprint", "settings", "fractions", "seeds", "tuned"):
        was, wanted = getattr(before, name), getattr(study, name)
        if was != wanted:
            raise HeadstartError(
                f"{plan.out}: expected the study that it holds ({name} {was}), found {wanted} asked for",
                "choose another --out",
            )
    kept = tuple(trial for trial in before.trials if trial.error is None)
    return study.model_copy(update={"trials": kept, "left_out": before.excluded, "environment": before.environment})


def run(carrying: StudyRun) -> Iterator[Study]:
    """Do what is left of a study, giving it after every trial; a trial that fails is marked, and the others go on."""
    plan = carrying.plan
    for name, text in asked.files(plan).items():
        write_atomically(plan.out / name, text.encode())
    _write(carrying)
    for seed, settings in plan.trial_order():
        waiting: list[tuple[str, float, Recipe]] = []
        for setting in settings:
            done = {trial.fraction for trial in carrying.study.trials if (trial.setting, trial.seed) == (setting, seed)}
            left = [fraction for fraction in sorted(plan.fractions, reverse=True) if fraction not in done]
            if not left:
                continue
            try:
                _ensure_prerequisites(carrying, setting)
            except Exception as error:  # what it needs cannot be had: all of its trials fail, the other settings go on
                for fraction in left:
                    yield _added(carrying, _failed(carrying, setting, fraction, seed, error))
                continue
            lr = carrying.lr.get(setting)
            waiting += [(setting, fraction, plan.trial(setting, fraction, seed, lr)) for fraction in left]
        for setting, fraction, seconds, fault in _trained(carrying, waiting, seed):
            if fault is None:
                yield _added(carrying, _read(carrying, setting, fraction, seed, seconds))
            else:
                yield _added(carrying, _failed(carrying, setting, fraction, seed, fault))


def _trained(
    carrying: StudyRun, waiting: list[tuple[str, float, Recipe]], seed: int
) -> Iterator[tuple[str, float, float, Exception | None]]:
    """Train the waiting trials, here or in several processes: setting, fraction, seconds, and what went wrong."""
    plan = carrying.plan
    if carrying.jobs == 1 or len(waiting) == 1:
        for setting, fraction, recipe in waiting:
            folder, began = plan.trial_folder(setting, fraction, seed), time.perf_counter()
            try:
                train_to_completion(recipe, plan.data, folder, carrying.done)
                yield setting, fraction, time.perf_counter() - began, None
            except Exception as error:  # one trial's fault is not the study's
                yield setting, fraction, 0.0, error
        return
    with ProcessPoolExecutor(carrying.jobs, mp_context=get_context("spawn")) as pool:
        runs = [
            (s, f, pool.submit(train_in_subprocess, r, plan.data, plan.trial_folder(s, f, seed), carrying.jobs))
            for s, f, r in waiting
        ]
        for setting, fraction, future in runs:
            fault = future.exception()
            seconds = future.result() if fault is None else 0.0
            carrying.done(trial_name(setting, fraction, seed), 1.0)
            yield setting, fraction, seconds, fault if isinstance(fault, Exception) else None


def train_to_completion(recipe: Recipe, data: str, folder: Path, done: Done) -> RunFolder:
    """Train a run to its end, go on with one that was stopped, or find that it is finished."""
    from headstart.training.loop import train
    from headstart.training.setup import resume, start

    if (folder / "recipe.toml").exists():
        run = RunFolder.open(folder)
        if run.recipe != recipe:
            raise HeadstartError(f"{folder}: expected the run of this study, found another", f"rm -r {folder}")
        if run.finished:
            done(recipe.name, 1.0)
            return run
        training = resume(folder, data)
    else:
        training = start(recipe, data, folder)
    total, before = recipe.train.epochs * training.steps, 0
    for event in train(training):
        at = _steps_done(event)
        done(recipe.name, max(0, at - before) / total)
        before = max(before, at)
    done(recipe.name, (total - before) / total)
    return training.run


def _steps_done(event: Step | Epoch) -> int:
    from headstart.training.loop import Step

    return event.epoch * event.steps + event.step + 1 if isinstance(event, Step) else 0


def train_in_subprocess(recipe: Recipe, data: str, folder: Path, jobs: int) -> float:
    """`train_quietly` in a process of its own, which takes its share of the cores; returns the seconds it took."""
    import torch

    torch.set_num_threads(max(1, torch.get_num_threads() // jobs))
    began = time.perf_counter()
    train_to_completion(recipe, data, folder, lambda *_: None)
    return time.perf_counter() - began


def _ensure_prerequisites(carrying: StudyRun, setting: str) -> None:
    """Make the weights that a setting starts from, and choose its learning rate, unless that was done."""
    plan, kind = carrying.plan, PRETRAINING_OF.get(setting)
    needed = [SUPERVISED, CONTINUED] if kind == CONTINUED else [kind]
    for each in plan.pretrainings():
        if each in needed and each not in carrying.pretraining_seconds:
            recipe, data = plan.pretrain(each)
            run = train_to_completion(recipe, data, plan.folder(each), carrying.done)
            carrying.pretraining_seconds[each] = sum(row["seconds"] for row in run.metrics)
            _note_left_out(carrying, data, run)
    if setting in plan.tuned_settings() and setting not in carrying.lr:
        tried, seconds = {}, 0.0
        for lr, (folder, recipe) in plan.tunings(setting).items():
            rows = train_to_completion(recipe, plan.data, folder, carrying.done).metrics
            last = [row for row in rows if row["split"] == "val"][-1]
            score = last[plan.metric]
            tried[lr] = (-1.0 if math.isnan(score) else score, -last["loss"])
            seconds += sum(row["seconds"] for row in rows)
        carrying.lr[setting] = max(tried, key=lambda lr: tried[lr])
        carrying.tuning_seconds[setting] = seconds


def _note_left_out(carrying: StudyRun, folder: str, run: RunFolder) -> None:
    """Write into the study what a pre-training on a folder did without."""
    facts, study = run.data, carrying.study
    if "left_out" not in facts:
        return
    left = Excluded(folder=folder, images=facts["left_out"], of=facts["images_trained_on"] + facts["left_out"])
    if left not in study.excluded:  # one folder may serve two pre-trainings
        carrying.study = study.model_copy(update={"left_out": (*study.excluded, left)})


def _read(carrying: StudyRun, setting: str, fraction: float, seed: int, seconds: float) -> Trial:
    plan = carrying.plan
    costs = {
        "seconds_pretrain": _seconds_pretrain(carrying, setting),
        "seconds_tune": carrying.tuning_seconds.get(setting, 0.0),
        "seconds_train": seconds,
    }
    run = RunFolder.open(plan.trial_folder(setting, fraction, seed))
    return read_trial(run, plan, setting, carrying.study.split, carrying.lr.get(setting)).model_copy(update=costs)


def _seconds_pretrain(carrying: StudyRun, setting: str) -> float | None:
    kind, known = PRETRAINING_OF.get(setting), carrying.pretraining_seconds
    if kind == CONTINUED:
        return known.get(SUPERVISED, 0.0) + known[CONTINUED]
    return known.get(kind) if kind is not None else None


def _failed(carrying: StudyRun, setting: str, fraction: float, seed: int, error: Exception) -> Trial:
    labels = len(label_subset(carrying.pixels.index, fraction, seed))
    text = f"{type(error).__name__}: {error}" if not isinstance(error, HeadstartError) else error.message
    return Trial(setting=setting, fraction=fraction, labels=labels, seed=seed, error=text)


def _added(carrying: StudyRun, trial: Trial) -> Study:
    carrying.study = carrying.study.model_copy(update={"trials": (*carrying.study.trials, trial)})
    _write(carrying)
    return carrying.study


def _write(carrying: StudyRun) -> None:
    """``study.json``, then what is derived from it: the table and the report."""
    out = carrying.plan.out
    write_atomically(out / "study.json", carrying.study.to_json().encode())
    results = Results(carrying.study)
    write_atomically(out / "table.csv", table(table_rows(results)))
    write_study_page(out, results)
