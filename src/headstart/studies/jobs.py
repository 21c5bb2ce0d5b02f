"""The jobs of a study: its pre-trainings, learning-rate candidates and trials, and which of them wait for which."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial

from headstart.comparison.study import Trial
from headstart.comparison.trial_paths import trial_name
from headstart.runs.folder import RunFolder
from headstart.studies.plan import CONTINUED, PRETRAINING_OF, SUPERVISED, Plan
from headstart.studies.schedule import Job
from headstart.studies.trainings import Training
from headstart.studies.worker import Ended

TrialKey = tuple[str, float, int]
"""Setting, label fraction, seed."""
TunedAt = tuple[str, float]
"""A setting, and the label fraction within whose labels its learning rate is tuned."""


class Jobs:
    """The jobs of a plan, and what those that have ended say: learning rates and costs.

    ``finish_trial`` is called for each trial that ends, ``finish_pretraining`` with the folder of images and the run of
    each pre-training. Learning rates are selected from those that the ``finished`` trials were selected from.
    """

    def __init__(
        self,
        plan: Plan,
        finish_trial: Callable[[TrialKey, Ended], None],
        finish_pretraining: Callable[[str, RunFolder], None],
        finished: Iterable[Trial],
    ) -> None:
        self.plan = plan
        self.trials: dict[str, TrialKey] = {}
        """Name of a job -> the trial that it is."""
        self.tuning_seconds: dict[TunedAt, float] = {}
        """Seconds of all learning-rate candidates."""
        self.pretraining_seconds: dict[tuple[str, int], float] = {}
        """Kind of weights and number -> seconds of their pre-training."""
        self._finish_trial, self._finish_pretraining = finish_trial, finish_pretraining
        self._tried_before = {(each.setting, each.tuned_at): each.tried for each in finished}
        self._scores: dict[TunedAt, dict[float, tuple[float, float]]] = {}
        """Learning rate -> its score, the higher the better."""

    @property
    def learning_rates(self) -> dict[TunedAt, float]:
        """The best learning rate of those that have been tried."""
        return {at: max(scores, key=lambda lr: scores[lr]) for at, scores in self._scores.items()}

    def tried(self, at: TunedAt) -> tuple[float, ...]:
        """The learning rates that have been tried, in order."""
        return tuple(sorted(self._scores.get(at, ())))

    def remaining(self, trials: Iterable[TrialKey]) -> list[Job]:
        """The jobs of these trials, each after those that it needs."""
        jobs: dict[str, Job] = {}
        for key in trials:
            needs = self._prerequisites(key, jobs)
            name = trial_name(*key)
            self.trials[name] = key
            jobs[name] = Job(name, needs, partial(self._trial, key), partial(self._finish_trial, key))
        return list(jobs.values())

    def seconds_pretrain(self, setting: str, number: int) -> float | None:
        """Seconds of all pre-training that the weights of this number took; None where they were given."""
        kind, known = PRETRAINING_OF.get(setting), self.pretraining_seconds
        if kind == CONTINUED:
            return known.get((SUPERVISED, number), 0.0) + known[CONTINUED, number]
        return known.get((kind, number)) if kind is not None else None

    def _prerequisites(self, key: TrialKey, jobs: dict[str, Job]) -> tuple[str, ...]:
        """Add what a trial waits for, and name it."""
        plan, setting = self.plan, key[0]
        names = self._weights(setting, plan.number(key[2]), jobs)
        if setting in plan.tuned_settings():
            at = (setting, plan.tuned_for(key[1]))
            names += self._candidates(at, self._weights(setting, 0, jobs), jobs)
        return names

    def _candidates(self, at: TunedAt, weights: tuple[str, ...], jobs: dict[str, Job]) -> tuple[str, ...]:
        """Add the learning-rate candidates of a setting, which need these weights, and name them."""
        first, names = self.plan.tunings(*at), tuple[str, ...]()
        for lr, (folder, recipe) in (first | self.plan.further_tunings(*at)).items():
            training, finish = Training(recipe, self.plan.data, folder), partial(self._finish_candidate, at, lr)
            if lr in first:
                job = self._job(training, weights, finish)
            else:  # the others come first, and say whether there is need for it
                job = self._job(training, weights + names, finish, needed=partial(self._may_be_better, at, lr))
            jobs.setdefault(recipe.name, job)
            names += (recipe.name,)
        return names

    def _may_be_better(self, at: TunedAt, lr: float) -> bool:
        """Whether a learning rate lies beyond those tried, next to the best of them."""
        if at in self._tried_before:
            return lr in self._tried_before[at]
        best, tried = self.learning_rates[at], self.tried(at)
        return lr < tried[0] == best or lr > tried[-1] == best

    def _weights(self, setting: str, number: int, jobs: dict[str, Job]) -> tuple[str, ...]:
        """Add the pre-trainings of a setting's weights of this number, and name them."""
        plan, kind = self.plan, PRETRAINING_OF.get(setting)
        needed = [SUPERVISED, CONTINUED] if kind == CONTINUED else [kind]
        names: tuple[str, ...] = ()
        for each in plan.pretrained_kinds():
            if each in needed:
                recipe, data = plan.pretrain(each, number)
                training, finish = Training(recipe, data, plan.folder(each, number)), self._finish_weights
                jobs.setdefault(recipe.name, self._job(training, names, partial(finish, (each, number), data)))
                names = (*names, recipe.name)
        return names

    @staticmethod
    def _job(
        training: Training,
        needs: tuple[str, ...],
        finish: Callable[[RunFolder], None],
        needed: Callable[[], bool] = lambda: True,
    ) -> Job:
        return Job(
            training.name,
            needs,
            lambda: training if needed() else None,
            lambda _: finish(RunFolder.open(training.folder)),
        )

    def _trial(self, key: TrialKey) -> Training:
        plan, lr = self.plan, self.learning_rates.get((key[0], self.plan.tuned_for(key[1])))
        return Training(plan.trial(*key, lr), plan.data, plan.trial_folder(*key))

    def _finish_weights(self, key: tuple[str, int], data: str, run: RunFolder) -> None:
        self.pretraining_seconds[key] = sum(row["seconds"] for row in run.metrics)
        self._finish_pretraining(data, run)

    def _finish_candidate(self, at: TunedAt, lr: float, run: RunFolder) -> None:
        last = [row for row in run.metrics if row["split"] == "val"][-1]
        score = last[self.plan.metric]
        scores = self._scores.setdefault(at, {})
        scores[lr] = (-1.0 if math.isnan(score) else score, -last["loss"])
        seconds = sum(row["seconds"] for row in run.metrics)
        self.tuning_seconds[at] = self.tuning_seconds.get(at, 0.0) + seconds
