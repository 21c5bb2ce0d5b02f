"""The study: how much does each kind of pre-training buy, on these images? Many trainings, one table.

Every trial, pre-training and learning-rate candidate is a run folder below the study's own, so an interrupted study
continues where it stopped; `study.json` holds the results of the trials, and is written after each.
"""

from __future__ import annotations

import itertools
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from headstart.comparison.study import Excluded, Study, Trial
from headstart.comparison.summary import Results
from headstart.comparison.table import table_rows
from headstart.comparison.trial_paths import trial_name
from headstart.data.checks.contamination import leaked_rows
from headstart.data.dataset import Dataset
from headstart.data.splits import label_subset
from headstart.environment import environment
from headstart.errors import HeadstartError
from headstart.files import table, write_atomically
from headstart.metrics.bootstrap import numbered
from headstart.report.study_page import write_study_page
from headstart.runs.folder import RunFolder
from headstart.runs.lock import own, owner_of
from headstart.runs.training_images import seen_by
from headstart.studies import resume as resuming
from headstart.studies.budget import from_scratch, shortened
from headstart.studies.jobs import Jobs, TrialKey, TunedAt
from headstart.studies.model_reports import write_model_reports
from headstart.studies.plan import Plan
from headstart.studies.plan_validation import validate_plan
from headstart.studies.schedule import Schedule
from headstart.studies.trainings import fault_of
from headstart.studies.trial import majority_baseline, read_trial
from headstart.studies.worker import Context, Ended, Event
from headstart.studies.workers import InProcess, Workers
from headstart.tasks import task_named

REPORT_SHARE = 0.2
"""At most this share of the time is spent on rewriting the table and the report between trials."""
OnProgress = Callable[[str, float], None]
"""Called with (name of the run, share of it that was done since the last call)."""


class StudyRunner:
    """A study in progress: its plan, its results so far, and the data set, opened once for all trials.

    ``plan`` becomes the one in the study's folder where that exists: a budget may have chosen its epochs. ``workers``
    are where the trainings run, by default in this process. Nothing is written before `run`. Raises HeadstartError for
    a plan, data or label fractions that cannot be used, and for a folder that holds a study of other settings, recipes
    or data.
    """

    def __init__(self, plan: Plan, dataset: Dataset | None = None, *, workers: Workers | None = None) -> None:
        asked, self.plan = plan, (plan := resuming.load_existing(plan))
        self.dataset = dataset = Dataset(plan.data) if dataset is None else dataset
        self.workers = InProcess() if workers is None else workers
        self.on_progress: OnProgress = lambda _name, _share: None
        self.on_note: Callable[[str], None] = lambda _: None
        """Called with a line for the user."""
        self.may_start: Callable[[str], bool] = lambda _: True
        """Whether the training of a name may begin; the others are left for another call."""
        self.stop_requested: Callable[[], bool] = lambda: False
        """Whether `run` shall save everything and raise KeyboardInterrupt."""
        self.latest: Trial | None = None
        """The trial that ended last."""
        validate_plan(plan)
        index = dataset.index(plan.recipe.data, plan.target)
        for fraction in plan.fractions:
            label_subset(index, fraction, plan.seeds[0])
        for kind in plan.pretrained_kinds():
            recipe, data = plan.pretrain(kind)
            dataset.open(data).index(recipe.data, task_named(recipe.task).target)
        resuming.require_same_folders(plan, dataset)
        self.pixels = dataset.pixels(plan.recipe.data, plan.target)
        self._notes: list[str] = [] if plan.tune_from == asked.tune_from else [_other_tuning(plan, asked)]
        self._order = {key: number for number, key in enumerate(_in_order(plan))}
        self.study = self._with_finished_trials(self._empty_study())
        self.jobs = Jobs(plan, self._finish_trial, self._note_excluded, self.study.trials)
        self._report_due, self._shares = 0.0, defaultdict[str, float](float)

    @property
    def learning_rates(self) -> dict[TunedAt, float]:
        """The tuned learning rates: setting, and the label fraction within whose labels they are tuned."""
        return self.jobs.learning_rates

    def finished(self) -> frozenset[str]:
        """The names of the trainings that are finished: pre-trainings, learning-rate candidates and trials."""
        plan = self.plan
        pretrainings = ((plan.pretrain(*each)[0], plan.folder(*each)) for each in plan.all_pretrainings())
        tunings = (
            (recipe, folder)
            for at in itertools.product(plan.tuned_settings(), plan.tuned_at)
            for folder, recipe in plan.tunings(*at).values()
        )
        runs = [recipe.name for recipe, folder in (*pretrainings, *tunings) if fault_of(folder, recipe) is None]
        return frozenset(
            [*runs, *(trial_name(trial.setting, trial.fraction, trial.seed) for trial in self.study.trials)]
        )

    def run(self) -> Iterator[Study]:
        """Run the remaining trials, yielding the study after each; a trial that fails is recorded as failed.

        The trials are `study.trials` in the order of the plan, whichever ended first. Raises HeadstartError when
        another process runs this study, and KeyboardInterrupt once ``stop_requested`` says so.
        """
        plan = self.plan
        with own(plan.out):
            for note in self._notes:
                self.on_note(note)
            resuming.set_broken_aside(plan)
            for name, text in resuming.files(plan).items():
                write_atomically(plan.out / name, text.encode())
            self._write()
            try:
                self.workers.begin(self._context(), self.stop_requested, self._on_event)
                left = self.jobs.remaining(self._left())
                schedule = Schedule(left, self.workers, self.stop_requested, self.may_start)
                for job, error in schedule.run():
                    self._on_progress(job.name, 1.0)
                    key = self.jobs.trials.get(job.name)
                    if key is None:
                        continue
                    if error is not None:
                        self._add(self._failed(key, error))
                    yield self.study
            finally:
                self.workers.close()
                self._write(last=True)

    def _left(self) -> list[TrialKey]:
        done = {(trial.setting, trial.fraction, trial.seed) for trial in self.study.trials}
        return [key for key in self._order if key not in done]

    def _context(self) -> Context:
        threads = int(self.study.environment["threads"])
        if threads != self.workers.threads:
            self.on_note(f"each training uses {threads} threads of the processor, as when the study was started")
        return Context(
            key=f"headstart-{uuid.uuid4().hex}",
            study=self.plan.out.absolute(),
            cwd=Path.cwd(),
            dataset=self.dataset,
            threads=threads,
            owner=owner_of(self.plan.out),
        )

    def _on_event(self, event: Event) -> None:
        if event[0] == "note":
            self.on_note(event[1])
        else:
            self._on_progress(event[1], event[2])

    def _on_progress(self, name: str, share: float) -> None:
        """Pass progress on; what a killed attempt had done counts once."""
        more = min(share, 1.0 - self._shares[name])
        self._shares[name] += more
        self.on_progress(name, more)

    def _empty_study(self) -> Study:
        plan, index, split = self.plan, self.pixels.index, self.pixels.index.held_out
        groups = numbered([index.groups[row] for row in index.positions(split)])
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
            tuned_from=plan.tune_from,
            split_made=index.split_made,
            leaked=None if index.split_made else len(leaked_rows(self.pixels, split)),  # those split no duplicates
            shortened=shortened(plan),
            given_weights=plan.given_weights,
            seen_by_weights=seen_by(plan.given_weights, map(self.pixels.contents.__getitem__, index.positions(split))),
            scratch=from_scratch(plan),
            scratch_settings=plan.by_scratch,
            pretrainings=plan.pretrainings,
            margin=plan.margin / 100,
            target=None if plan.target_score is None else plan.target_score / 100,
            groups=groups and tuple(groups),
            fingerprint=self.pixels.fingerprint,
            environment={**environment(), "threads": self.workers.threads},
        )

    def _with_finished_trials(self, study: Study) -> Study:
        """``study`` with the trials in its folder, except those that failed or whose run is gone or broken."""
        plan = self.plan
        if not resuming.exists(plan):
            resuming.require_free(plan)
            return study
        before, fault = resuming.stored_study(plan)
        if before is None:
            self._notes.append(f"{plan.out / 'study.json'} is made again from the runs: {fault}")
            return study
        for name in ("fingerprint", "settings", "fractions", "seeds", "tuned", "pretrainings"):
            was, wanted = getattr(before, name), getattr(study, name)
            if was != wanted and not (name in plan.free and resuming.contains(study, before, name)):
                raise HeadstartError(
                    f"{plan.out}: expected the study in this folder ({name} {was}), found {wanted} requested",
                    "choose another --out",
                )
        threads = before.environment.get("threads")
        if not (isinstance(threads, int) and 0 < threads < 1000):
            threads = self.workers.threads
        kept = tuple(trial for trial in before.trials if trial.error is None and self._has_run(trial))
        return study.model_copy(
            update={
                "trials": kept,
                "excluded": before.excluded,
                "environment": {**before.environment, "threads": threads},
            }
        )

    def _has_run(self, trial: Trial) -> bool:
        """Whether the run of a finished trial is in its folder; else it is trained again, and a note says so."""
        plan, key = self.plan, (trial.setting, trial.fraction, trial.seed)
        folder = plan.trial_folder(*key)
        fault = fault_of(folder, plan.trial(*key, trial.chosen.get("lr")))
        if fault is not None:
            self._notes.append(f"{folder} is trained again: {fault}")
        return fault is None

    def _note_excluded(self, folder: str, run: RunFolder) -> None:
        """Record the images that a pre-training on another folder excluded."""
        facts, study = run.data, self.study
        if "left_out" not in facts:
            return
        count = Excluded(folder=folder, images=facts["left_out"], of=facts["images_trained_on"] + facts["left_out"])
        if count not in study.excluded:  # one folder may serve two pre-trainings
            self.study = study.model_copy(update={"excluded": (*study.excluded, count)})

    def _finish_trial(self, key: TrialKey, ended: Ended) -> None:
        """Record the results of a finished trial, with its costs."""
        setting, run = key[0], RunFolder.open(self.plan.trial_folder(*key))
        at = (setting, self.plan.tuned_for(key[1]))
        lr, tried = self.learning_rates.get(at), self.jobs.tried(at)
        trial = read_trial(run, self.plan, self.dataset, at, self.study.split, lr, tried)
        costs = {
            "pretraining": self.plan.number(key[2]),
            "seconds_pretrain": self.jobs.seconds_pretrain(setting, self.plan.number(key[2])),
            "seconds_tune": self.jobs.tuning_seconds.get(at, 0.0),
            # A training that was stopped took longer than what was left of it.
            "seconds_train": max(ended.seconds, sum(row["seconds"] for row in run.metrics)),
        }
        self._add(Trial.model_validate({**dict(trial), **costs}))

    def _failed(self, key: TrialKey, error: Exception) -> Trial:
        setting, fraction, seed = key
        labels = len(label_subset(self.pixels.index, fraction, seed))
        text = f"{type(error).__name__}: {error}" if not isinstance(error, HeadstartError) else error.message
        return Trial(setting=setting, fraction=fraction, labels=labels, seed=seed, error=text)

    def _add(self, trial: Trial) -> None:
        trials = [*self.study.trials, trial]
        trials.sort(key=lambda each: self._order[each.setting, each.fraction, each.seed])
        # Validated: what does not fit, such as a trial of other images, is the error of this trial.
        self.study = Study.model_validate({**dict(self.study), "trials": tuple(trials)})
        self.latest = trial
        self._write()

    def _write(self, last: bool = False) -> None:
        """Write ``study.json``, then what is derived from it, the table and the report, unless that takes too long."""
        out, began = self.plan.out, time.monotonic()
        write_atomically(out / "study.json", self.study.to_json().encode())
        if not last and began < self._report_due:
            return
        results = Results(self.study)
        write_atomically(out / "table.csv", table(table_rows(results)))
        for fault in write_model_reports(self.plan, results, self.pixels) if last and not self.stop_requested() else ():
            self.on_note(fault)
        write_study_page(out, results)
        ended = time.monotonic()
        self._report_due = ended + (ended - began) / REPORT_SHARE


def _other_tuning(plan: Plan, asked: Plan) -> str:
    """How the learning rates of a study that goes on were tuned, where a new one would tune them otherwise."""

    def where(each: Plan) -> str:
        return "with all labels" if each.tune_from == 1 else f"within each label fraction from {each.tune_from:.3g} on"

    return f"{plan.out} goes on with learning rates tuned {where(plan)}; a new study tunes them {where(asked)}"


def _in_order(plan: Plan) -> Iterator[TrialKey]:
    """Every trial, in the order of training."""
    for seed, settings in plan.trial_order():
        for setting in settings:
            for fraction in sorted(plan.fractions, reverse=True):
                yield setting, fraction, seed
