"""Learning rates are selected within the labels of their own fraction, and a study says where they are not."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from types import SimpleNamespace

import pytest

import headstart as hs
from headstart.comparison.cautions import of_tuning
from headstart.comparison.study import Study, Trial, read_study
from headstart.comparison.summary import Results
from headstart.comparison.warnings import of_grid_edges
from headstart.data.dataset import Dataset
from headstart.recipes import recipe as recipes
from headstart.runs.folder import RunFolder
from headstart.runs.training_images import read_trained_on
from headstart.studies.jobs import Jobs
from headstart.studies.plan import Plan
from headstart.studies.request import make_plan
from headstart.studies.runner import StudyRunner
from headstart.studies.time_estimate import estimate
from headstart.studies.worker import Ended
from headstart.training.setup import resume, start

Small = Callable[..., recipes.Recipe]


@pytest.fixture
def plan(photos: Path, tmp_path: Path, small: Small) -> Plan:
    return Plan(
        data=str(photos),
        out=tmp_path / "study",
        recipe=small(backbone__weights="none", train__epochs=1, augment__sizes=[]),
        pretraining=recipes.load("byol-quick"),
        settings="A",
        fractions=(0.25, 1.0),
        seeds=(0,),
        tune_from=0.25,
    )


def finish(plan: Plan) -> tuple[Study, list[str]]:
    runner, notes = StudyRunner(plan), list[str]()
    runner.on_note = notes.append
    for _ in runner.run():
        pass
    return runner.study, notes


@pytest.mark.slow
def test_a_learning_rate_is_selected_within_the_labels_it_is_used_with(plan: Plan, photos: Path) -> None:
    names = {recipe.name for fraction in plan.fractions for _, recipe in plan.tunings("A", fraction).values()}
    assert set(estimate(plan, Dataset(photos))) == names | {"A-0.25-seed0", "A-1-seed0"}
    assert len(names) == 6
    study, _ = finish(plan)
    assert read_study(plan.out / "study.json").tuned_from == 0.25
    for trial in study.trials:
        assert trial.tuned_at == trial.fraction
        labeled = read_trained_on(RunFolder.open(plan.trial_folder("A", trial.fraction, 0)))
        scores = {}
        candidates = plan.tunings("A", trial.fraction) | plan.further_tunings("A", trial.fraction)
        for lr, (folder, _) in candidates.items():
            if not folder.exists():
                continue  # it lies beyond another that is no better than those within
            run = RunFolder.open(folder)
            held_out = {blake2b((photos / row["filename"]).read_bytes(), digest_size=16).hexdigest()
                        for row in run.predictions}  # fmt: skip
            trained = read_trained_on(run)
            assert held_out
            assert not held_out & trained
            assert held_out | trained == labeled, "its own labels and no others"
            last = [row for row in run.metrics if row["split"] == "val"][-1]
            scores[lr] = (last["accuracy"], -last["loss"])
        assert trial.chosen == {"lr": max(scores, key=lambda lr: scores[lr])}
        assert trial.tried == tuple(sorted(scores)) >= tuple(plan.tunings("A", trial.fraction))
        assert not set(plan.tunings("A", trial.fraction)) - set(scores)
        assert trial.tried[0] < trial.chosen["lr"] < trial.tried[-1] or trial.chosen["lr"] in (
            min(candidates),
            max(candidates),
        )
    assert list(of_tuning(Results(study))) == []


@pytest.mark.parametrize(
    ("best", "tried"),
    [(1, [1 / 3, 1, 3]), (1 / 3, [1 / 9, 1 / 3, 1, 3]), (1 / 9, [1 / 27, 1 / 9, 1 / 3, 1, 3]),
     (1 / 81, [1 / 27, 1 / 9, 1 / 3, 1, 3]), (3, [1 / 3, 1, 3, 9]), (81, [1 / 3, 1, 3, 9, 27])],
)  # fmt: skip
def test_the_search_goes_on_beyond_an_end_where_the_best_lies(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, best: float, tried: list[float]
) -> None:
    at, base = ("A", 1.0), plan.recipe.optimizer.lr

    def results(folder: Path) -> SimpleNamespace:
        """Of a candidate whose accuracy falls with its distance from the best."""
        distance = abs(math.log(recipes.load(str(folder / "recipe.toml")).optimizer.lr / base / best))
        return SimpleNamespace(metrics=[{"split": "val", "accuracy": 1 / (1 + distance), "loss": 1.0, "seconds": 2.0}])

    def follow(jobs: Jobs) -> tuple[float, ...]:
        for job in jobs.remaining([("A", 1.0, 0)])[:-1]:
            training = job.prepare()
            if training is not None:
                training.folder.mkdir(parents=True, exist_ok=True)
                (training.folder / "recipe.toml").write_text(training.recipe.to_toml())
                job.finish(Ended(seconds=2.0, trained=True))
        assert jobs.tuning_seconds[at] == 2 * len(jobs.tried(at))
        return jobs.tried(at)

    monkeypatch.setattr("headstart.studies.jobs.RunFolder", SimpleNamespace(open=results))
    one = replace(plan, fractions=(1.0,))
    jobs = Jobs(one, lambda *_: None, lambda *_: None, ())
    assert follow(jobs) == pytest.approx([base * each for each in tried], rel=0.02)
    assert jobs.learning_rates[at] == min(jobs.tried(at), key=lambda lr: abs(math.log(lr / base / best)))
    # Where a study has trials of an earlier version, their learning rate is that of all seeds.
    before = tuple(one.tunings("A"))
    trial = Trial(setting="A", fraction=1.0, labels=48, seed=1, error="", chosen={"lr": before[0]}, tried=before,
                  tuned_at=1.0)  # fmt: skip
    assert follow(Jobs(one, lambda *_: None, lambda *_: None, [trial])) == before


@pytest.mark.slow
def test_a_holdout_of_few_labels_is_the_same_when_the_run_goes_on(photos: Path, tmp_path: Path, small: Small) -> None:
    changes = {"data__validate_on": "train", "data__label_fraction": 0.25, "backbone__weights": "none"}
    begun = start(small(**changes), str(photos), tmp_path / "run")
    again = resume(tmp_path / "run")
    assert again.pixels.index.splits == begun.pixels.index.splits
    assert again.train_rows.tolist() == begun.train_rows.tolist()
    assert sorted(begun.pixels.index.splits).count("aside") == 60 - 12
    with pytest.raises(hs.HeadstartError, match=r"data.label_fraction 0.06: expected two labeled images of a class"):
        start(small(**{**changes, "data__label_fraction": 0.06}), str(photos), tmp_path / "few")


@pytest.mark.slow
def test_a_study_of_before_goes_on_as_it_began_and_says_so(plan: Plan) -> None:
    before = replace(plan, settings="G", fractions=(1.0,), tune_from=1.0)
    study, notes = finish(before)
    assert notes == []
    asked = replace(before, tune_from=0.1)
    again, notes = finish(asked)
    assert again.to_json() == study.to_json()
    assert notes == [
        f"{plan.out} goes on with learning rates tuned with all labels; a new study tunes them within each label"
        " fraction from 0.1 on"
    ]


def test_fractions_with_too_few_labels_borrow_from_the_next_and_the_page_says_so(
    plan: Plan, made_study: Callable[..., Study]
) -> None:
    """Of 48 training images 20 % are held out of the labels: ten with all of them, rounded down."""
    assert make_plan(plan.data, recipe=plan.recipe).tuned_at == (1.0,)
    several = replace(plan, fractions=(0.05, 0.1, 0.5, 1.0), tune_from=0.1)
    assert [several.tuned_for(each) for each in several.fractions] == [0.1, 0.1, 0.5, 1.0]
    assert replace(several, tune_from=1.0, fractions=(0.05, 0.1)).tuned_for(0.05) == 1.0
    study = made_study("A", fractions=(0.05, 0.1, 1.0), seeds=(0,))

    def with_rate(trial: Trial, at: float) -> Trial:
        return trial.model_copy(update={"tried": (0.001, 0.003), "chosen": {"lr": 0.003}, "tuned_at": at})

    trials = [with_rate(trial, max(trial.fraction, 0.1)) for trial in study.trials]
    found = Results(study.model_copy(update={"trials": tuple(trials)}))
    assert list(of_tuning(found)) == [
        "The learning rates used with 5 % of the labels were selected with 10 %: whoever has so few labels cannot"
        " select them so well."
    ]
    assert len(list(of_grid_edges(found))) == 1
