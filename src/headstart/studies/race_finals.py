"""The last of a race: its two best backbones fine-tuned, each as a study of setting B, seed by seed.

Both get the same protocol, that of the slower one where a budget shortens it. After each seed the race ends early where
the two differ significantly or are equivalent: the level is shared over the seeds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from headstart.comparison.race_file import Race, RaceTrial
from headstart.comparison.study import Trial
from headstart.comparison.trial_paths import trial_name
from headstart.errors import HeadstartError
from headstart.recipes.recipe import Recipe, override
from headstart.studies.budget import fit_budget
from headstart.studies.plan import Plan
from headstart.studies.race import RaceRunner
from headstart.studies.request import prepare_study
from headstart.studies.resume import exists
from headstart.studies.runner import StudyRunner
from headstart.studies.time_left import Deadline, TimeLeft
from headstart.studies.workers import Workers

SHARED = ("data", "train", "analysis")
"""Parts of a recipe that a budget shortens, equal for both."""


@dataclass
class Finals:
    """Fine-tunes the last two backbones of a race.

    ``note`` is called with a line for the user, ``status`` with what is being done.
    """

    runner: RaceRunner
    workers: Workers
    note: Callable[[str], None]
    status: Callable[[str], None]

    def run(self) -> Iterator[Race]:
        """Fine-tune what is left, yielding the race after each trial.

        Raises HeadstartError when a training fails, and KeyboardInterrupt once the race is asked to stop.
        """
        race = self.runner.race
        if not race.fine_tune or race.finished or race.note or not self.runner.results.rounds:
            return
        names = self.runner.results.last_two
        try:
            plans = self._plans(names)
        except HeadstartError as error:  # the budget is too short: the probes are the result
            self.runner.change(note=f"the budget leaves no time to fine-tune the last two ({error.message})")
            self.runner.write()
            return
        for seed in race.seeds:
            for name in names:
                if seed not in self.runner.race.find(name, "B", 1.0):
                    if not self._fine_tune(name, plans[name], seed):
                        self.runner.change(
                            note=f"the budget has ended before {name} was fine-tuned with seed {seed}: the same"
                            " command with a larger budget continues"
                        )
                        self.runner.write()
                        return
                    yield self.runner.race
            if self._decided():
                return

    def _decided(self) -> bool:
        found = self.runner.results.final
        if found is None or len(found.names) < 2:
            return True
        pair = found.pair(*found.names)
        return pair.significant or pair.within(self.runner.race.margin)

    def _plans(self, names: tuple[str, ...]) -> dict[str, Plan]:
        """The study of each backbone, all with the same protocol."""
        plans = {name: self._plan(name) for name in names}
        begun = [name for name in names if exists(plans[name])]
        left = self.runner.clock.left()
        if begun:  # as it began: the first was written with what both have
            stored = StudyRunner(plans[begun[0]], self.runner.dataset).plan.recipe
            return {name: _shortened(plan, stored) for name, plan in plans.items()}
        if left is None:
            return plans
        if left <= 0:
            raise HeadstartError("no time is left", "a larger --budget")
        slowest = max(names, key=lambda name: self.runner.loaded[name].seconds)
        shorter = self._fitted(plans[slowest], left * max(1, self.workers.count()) / len(names))
        return {name: _shortened(plan, shorter) for name, plan in plans.items()}

    def _fitted(self, plan: Plan, seconds: float) -> Recipe:
        """The recipe with which a backbone takes so long, for as many of the seeds as fit."""
        for count in range(len(plan.seeds), 1, -1):
            with suppress(HeadstartError):
                return fit_budget(replace(plan, seeds=plan.seeds[:count]), self.runner.dataset, seconds)[0].recipe
        return fit_budget(replace(plan, seeds=plan.seeds[:1]), self.runner.dataset, seconds)[0].recipe

    def _plan(self, name: str) -> Plan:
        entry, study = self.runner.entries[name], self.runner.plan.study
        backbone, augment = entry.recipe.backbone, entry.recipe.augment
        recipe = override(
            study.recipe,
            {
                "backbone.name": backbone.name,
                "backbone.weights": str(_absolute(backbone.weights)),
                "augment.mean": list(augment.mean),
                "augment.std": list(augment.std),
            },
        )
        number = [each.name for each in self.runner.race.backbones].index(name)
        folder = self.runner.plan.out / "fine-tuned" / f"{number:02d}-{backbone.name}"
        return replace(
            study, recipe=recipe, out=folder, settings="B", fractions=(1.0,), free=study.free - {"fractions", "seeds"}
        )

    def _fine_tune(self, name: str, plan: Plan, seed: int) -> bool:
        """Train one seed of a backbone, and record its trial; whether the budget had time for it."""
        self.status(f"{name}, fine-tuning with seed {seed}")
        study, seconds = prepare_study(plan, self.runner.dataset, workers=self.workers)
        study.on_note, study.stop_requested = self.note, self.runner.stop_requested
        others = {trial_name("B", 1.0, each) for each in plan.seeds if each != seed}
        wanted = {key: each for key, each in seconds.items() if key not in others}
        budget, began, left = self.runner.clock.left(), time.monotonic(), TimeLeft(wanted)
        deadline = None if budget is None else Deadline(max(budget, 1.0), left, began)

        def may_start(each: str) -> bool:
            return each not in others and (deadline is None or each not in wanted or deadline.allows(each))

        study.may_start = may_start
        study.on_progress = lambda each, share: left.advance(each, share, self.workers.count())
        for _ in study.run():
            pass
        found = [trial for trial in study.study.trials if trial.seed == seed]
        failed = [trial for trial in found if trial.error is not None]
        if failed:
            raise HeadstartError(f"{name}: fine-tuning failed: {failed[0].error}", "leave it out of --backbones")
        if not found:
            return False
        race = self.runner.race
        self.runner.change(trials=(*race.trials, _trial_of(name, found[0])))
        self.runner.write()
        return True


def _shortened(plan: Plan, like: Recipe) -> Plan:
    """``plan`` with the image size, length and stored features of another recipe."""
    recipe = plan.recipe
    parts = {name: getattr(like, name) for name in SHARED}
    sizes = recipe.augment.model_copy(update={"sizes": like.augment.sizes})
    shorter = recipe.model_copy(update={**parts, "augment": sizes})
    return replace(plan, recipe=shorter, requested=(recipe, plan.pretraining)) if shorter != recipe else plan


def _trial_of(name: str, trial: Trial) -> RaceTrial:
    assert trial.correct is not None
    return RaceTrial(
        backbone=name,
        setting="B",
        fraction=1.0,
        labels=trial.labels,
        seed=trial.seed,
        correct=trial.correct,
        chosen=trial.chosen,
        seconds=trial.seconds_train + (trial.seconds_tune if trial.seed == 0 else 0.0),
    )


def _absolute(weights: str) -> str | Path:
    path = Path(weights)
    return path.absolute() if path.exists() else weights
