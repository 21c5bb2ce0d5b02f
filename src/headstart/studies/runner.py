"""The study: how much does each kind of pre-training buy, on these images? Many trainings, one table.

Every trial, pre-training and learning-rate candidate is a run folder below the study's own, so an interrupted study
continues where it stopped; `study.json` holds the results of the trials, and is written after each.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from headstart.comparison.study import Excluded, Study, Trial, read_study
from headstart.comparison.summary import Results, table_rows
from headstart.data.dataset import Dataset
from headstart.data.splits import label_subset
from headstart.environment import environment
from headstart.errors import HeadstartError
from headstart.files import table, write_atomically
from headstart.recipes.recipe import Recipe
from headstart.report.study_page import write_study_page
from headstart.runs.folder import RunFolder
from headstart.studies import executor
from headstart.studies import resume as resuming
from headstart.studies.executor import OnProgress, no_progress
from headstart.studies.plan import CONTINUED, PRETRAINING_OF, SUPERVISED, Plan, trial_name, validate_plan
from headstart.studies.trial import majority_baseline, read_trial
from headstart.tasks import task_named

Outcome = tuple[str, float, float, Exception | None]
"""Setting, label fraction, seconds of training, and the error of a trial that failed."""


class StudyRunner:
    """A study in progress: its plan, its results so far, and the data set, opened once for all trials.

    ``plan`` becomes the one in the study's folder where that exists: a budget may have chosen its epochs. Nothing is
    written before `run`. Raises HeadstartError for a plan, data or label fractions that cannot be used, and for a
    folder that holds a study of other settings, recipes or data.
    """

    def __init__(
        self, plan: Plan, dataset: Dataset | None = None, *, jobs: int = 1, on_progress: OnProgress = no_progress
    ) -> None:
        self.plan = plan = resuming.load_existing(plan)
        self.dataset = dataset = Dataset(plan.data) if dataset is None else dataset
        self.jobs = jobs
        self.on_progress = on_progress
        validate_plan(plan)
        index = dataset.index(plan.recipe.data, plan.target)
        for fraction in plan.fractions:
            label_subset(index, fraction, plan.seeds[0])
        for kind in plan.pretrainings():
            recipe, data = plan.pretrain(kind)
            dataset.open(data).index(recipe.data, task_named(recipe.task).target)
        self.pixels = dataset.pixels(plan.recipe.data, plan.target)
        self.study = self._with_finished_trials(self._empty_study())
        self.learning_rates: dict[str, float] = {}
        """Setting -> its tuned learning rate."""
        self.tuning_seconds: dict[str, float] = {}
        """Setting -> seconds of all its learning-rate candidates."""
        self.pretraining_seconds: dict[str, float] = {}
        """Kind of weights -> seconds of their pre-training."""

    def finished(self) -> frozenset[str]:
        """The names of the trainings that are finished: pre-trainings, learning-rate candidates and trials."""
        plan = self.plan
        pretrainings = ((plan.pretrain(kind)[0].name, plan.folder(kind)) for kind in plan.pretrainings())
        tunings = (
            (recipe.name, folder)
            for setting in plan.tuned_settings()
            for folder, recipe in plan.tunings(setting).values()
        )
        runs = [name for name, folder in (*pretrainings, *tunings) if folder.is_dir() and RunFolder(folder).finished]
        return frozenset(
            [*runs, *(trial_name(trial.setting, trial.fraction, trial.seed) for trial in self.study.trials)]
        )

    def run(self) -> Iterator[Study]:
        """Run the remaining trials, yielding the study after each; a trial that fails is recorded as failed."""
        plan = self.plan
        for name, text in resuming.files(plan).items():
            write_atomically(plan.out / name, text.encode())
        self._write()
        for seed, settings in plan.trial_order():
            # Pre-train and tune first; where that fails, all trials of the setting do, and the other settings run.
            waiting: list[tuple[str, float]] = []
            for setting in settings:
                done = {trial.fraction for trial in self.study.trials if (trial.setting, trial.seed) == (setting, seed)}
                left = [fraction for fraction in sorted(plan.fractions, reverse=True) if fraction not in done]
                if not left:
                    continue
                try:
                    self._ensure_prerequisites(setting)
                except Exception as error:
                    for fraction in left:
                        yield self._add(self._failed(setting, fraction, seed, error))
                    continue
                waiting += [(setting, fraction) for fraction in left]
            # Train the trials, and record each as it ends.
            for setting, fraction, seconds, failure in self._train(waiting, seed):
                if failure is None:
                    yield self._add(self._read(setting, fraction, seed, seconds))
                else:
                    yield self._add(self._failed(setting, fraction, seed, failure))

    def _empty_study(self) -> Study:
        plan, index = self.plan, self.pixels.index
        split = "test" if index.positions("test") else "val"
        return Study(
            name=plan.out.name,
            data=plan.data,
            classes=len(index.classes),
            majority_baseline=majority_baseline(self.pixels, split),
            metric=plan.metric,
            settings=tuple(plan.settings),
            fractions=plan.fractions,
            seeds=plan.seeds,
            split=split,
            tuned=plan.tuned,
            fingerprint=self.pixels.fingerprint,
            environment=environment(),
        )

    def _with_finished_trials(self, study: Study) -> Study:
        """``study`` with the trials in its folder, except those that failed."""
        plan = self.plan
        if not resuming.exists(plan):
            written = resuming.files(plan)  # they come before study.json
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
                    f"{plan.out}: expected the study in this folder ({name} {was}), found {wanted} requested",
                    "choose another --out",
                )
        done = tuple(trial for trial in before.trials if trial.error is None)
        return study.model_copy(update={"trials": done, "excluded": before.excluded, "environment": before.environment})

    def _train(self, waiting: list[tuple[str, float]], seed: int) -> Iterator[Outcome]:
        """Train trials of one seed, here or in several processes, and yield how each ended, in order."""
        plan = self.plan
        here = self.jobs == 1 or len(waiting) <= 1
        with executor.InProcessExecutor() if here else executor.process_pool(self.jobs) as pool:
            futures = []
            for setting, fraction in waiting:
                recipe = plan.trial(setting, fraction, seed, self.learning_rates.get(setting))
                folder = plan.trial_folder(setting, fraction, seed)
                report = (self.on_progress,) if here else ()  # a callback does not reach into another process
                futures.append(pool.submit(executor.train_timed, recipe, self.dataset, folder, *report))
            for (setting, fraction), future in zip(waiting, futures, strict=True):
                error = future.exception()
                if not here:
                    self.on_progress(trial_name(setting, fraction, seed), 1.0)
                if error is not None and not isinstance(error, Exception):
                    raise error
                yield setting, fraction, 0.0 if error else future.result(), error

    def _ensure_prerequisites(self, setting: str) -> None:
        """Pre-train the weights of a setting, and tune its learning rate, unless that is done."""
        plan, kind = self.plan, PRETRAINING_OF.get(setting)
        needed = [SUPERVISED, CONTINUED] if kind == CONTINUED else [kind]
        for each in plan.pretrainings():
            if each in needed and each not in self.pretraining_seconds:
                recipe, data = plan.pretrain(each)
                run = self._train_here(recipe, plan.folder(each), self.dataset.open(data))
                self.pretraining_seconds[each] = sum(row["seconds"] for row in run.metrics)
                self._note_excluded(data, run)
        if setting in plan.tuned_settings() and setting not in self.learning_rates:
            scores, seconds = {}, 0.0
            for lr, (folder, recipe) in plan.tunings(setting).items():
                rows = self._train_here(recipe, folder, self.dataset).metrics
                last = [row for row in rows if row["split"] == "val"][-1]
                score = last[plan.metric]
                scores[lr] = (-1.0 if math.isnan(score) else score, -last["loss"])
                seconds += sum(row["seconds"] for row in rows)
            self.learning_rates[setting] = max(scores, key=lambda lr: scores[lr])
            self.tuning_seconds[setting] = seconds

    def _train_here(self, recipe: Recipe, folder: Path, dataset: Dataset) -> RunFolder:
        return executor.train_to_completion(recipe, dataset, folder, self.on_progress)

    def _note_excluded(self, folder: str, run: RunFolder) -> None:
        """Record the images that a pre-training on another folder excluded."""
        facts, study = run.data, self.study
        if "left_out" not in facts:
            return
        count = Excluded(folder=folder, images=facts["left_out"], of=facts["images_trained_on"] + facts["left_out"])
        if count not in study.excluded:  # one folder may serve two pre-trainings
            self.study = study.model_copy(update={"excluded": (*study.excluded, count)})

    def _read(self, setting: str, fraction: float, seed: int, seconds: float) -> Trial:
        """The results of a finished trial, with its costs."""
        costs = {
            "seconds_pretrain": self._seconds_pretrain(setting),
            "seconds_tune": self.tuning_seconds.get(setting, 0.0),
            "seconds_train": seconds,
        }
        run = RunFolder.open(self.plan.trial_folder(setting, fraction, seed))
        trial = read_trial(run, self.plan, self.dataset, setting, self.study.split, self.learning_rates.get(setting))
        return trial.model_copy(update=costs)

    def _seconds_pretrain(self, setting: str) -> float | None:
        kind, known = PRETRAINING_OF.get(setting), self.pretraining_seconds
        if kind == CONTINUED:
            return known.get(SUPERVISED, 0.0) + known[CONTINUED]
        return known.get(kind) if kind is not None else None

    def _failed(self, setting: str, fraction: float, seed: int, error: Exception) -> Trial:
        labels = len(label_subset(self.pixels.index, fraction, seed))
        text = f"{type(error).__name__}: {error}" if not isinstance(error, HeadstartError) else error.message
        return Trial(setting=setting, fraction=fraction, labels=labels, seed=seed, error=text)

    def _add(self, trial: Trial) -> Study:
        self.study = self.study.model_copy(update={"trials": (*self.study.trials, trial)})
        self._write()
        return self.study

    def _write(self) -> None:
        """Write ``study.json``, then what is derived from it: the table and the report."""
        out = self.plan.out
        write_atomically(out / "study.json", self.study.to_json().encode())
        results = Results(self.study)
        write_atomically(out / "table.csv", table(table_rows(results)))
        write_study_page(out, results)
