"""Several pre-trainings: each has its own seed and weights, seeds share them in turn, impossible ones are refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file

import headstart as hs
from headstart.comparison.findings import findings
from headstart.comparison.study import read_study
from headstart.comparison.summary import Results
from headstart.data.dataset import Dataset
from headstart.recipes import recipe as recipes
from headstart.runs.folder import RunFolder
from headstart.studies import time_estimate
from headstart.studies.budget import FILL, describe, fit_budget
from headstart.studies.plan import Plan
from headstart.studies.plan_validation import validate_plan
from headstart.studies.refinement import refined
from headstart.studies.request import make_plan
from headstart.studies.runner import StudyRunner
from headstart.studies.step_time import Speed
from headstart.studies.time_estimate import estimate

Small = Callable[..., recipes.Recipe]


@pytest.fixture
def plan(photos: Path, tmp_path: Path, small: Small) -> Plan:
    """Setting E with three seeds and two pre-trainings of one epoch."""
    short = {"train.epochs": 1, "data.image_size": 32, "train.batch_size": 12}
    short |= {"byol.hidden_dim": 16, "byol.projection_dim": 8}
    return Plan(
        data=str(photos),
        out=tmp_path / "study",
        recipe=small(backbone__weights="none", train__epochs=1, augment__sizes=[]),
        pretraining=recipes.load("byol-quick", short),
        settings="E",
        fractions=(1.0,),
        seeds=(0, 1, 2),
        pretrainings=2,
    )


@pytest.mark.slow
def test_each_pre_training_has_its_own_weights_and_its_seeds(plan: Plan) -> None:
    assert set(estimate(plan, Dataset(plan.data))) == {
        "self-supervised-pretraining", "self-supervised-pretraining-2", *(f"E-1-seed{seed}" for seed in range(3))
    }  # fmt: skip
    for _ in StudyRunner(plan).run():
        pass
    study = read_study(plan.out / "study.json")
    assert (study.pretrainings, [trial.pretraining for trial in study.trials]) == (2, [0, 1, 0])
    runs = [RunFolder.open(plan.out / "pretrained" / name) for name in ("self-supervised", "self-supervised-2")]
    assert runs[1].recipe.seed == runs[0].recipe.seed + 1
    one, two = (load_file(run.path / "weights" / "last.safetensors") for run in runs)
    assert any((one[name] != two[name]).any() for name in one)
    for trial in study.trials:
        facts = RunFolder.open(plan.trial_folder("E", 1.0, trial.seed)).environment["weights"]
        assert facts["file"].startswith(f"{runs[trial.pretraining].path}/")
        assert trial.seconds_pretrain == pytest.approx(sum(row["seconds"] for row in runs[trial.pretraining].metrics))
    assert any(text.startswith("E rests on 2 pre-trainings, which 3 seeds share") for text in findings(Results(study)))
    with pytest.raises(hs.HeadstartError, match=r"\(pretrainings 2\), found 3 requested"):
        StudyRunner(replace(plan, pretrainings=3))
    assert StudyRunner(replace(plan, pretrainings=1, free=frozenset({"pretrainings"}))).plan.pretrainings == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pretrainings": 4}, "--pretrainings: expected 1 to 3, at most one for each seed, found 4"),
        ({"pretrainings": 0}, "--pretrainings: expected 1 to 3, at most one for each seed, found 0"),
        ({"settings": "AG"}, "--pretrainings 2: expected a setting that is pre-trained, found AG"),
    ],
)
def test_pre_trainings_that_cannot_be_are_refused(plan: Plan, change: dict[str, object], message: str) -> None:
    with pytest.raises(hs.HeadstartError, match=message):
        validate_plan(replace(plan, **change))  # type: ignore[arg-type]


def test_continued_pre_training_goes_on_from_the_weights_of_its_own_number(plan: Plan) -> None:
    of_corpus = replace(plan, settings="F", corpus=plan.data, pretrainings=3)
    recipe, _ = of_corpus.pretrain("continued", 2)
    assert recipe.backbone.weights == str(of_corpus.folder("supervised", 2))
    assert of_corpus.trial("F", 1.0, 2).backbone.weights == str(of_corpus.folder("continued", 2))
    assert of_corpus.pretrain("supervised", 2)[0].seed == plan.recipe.seed + 2


def test_a_budget_pre_trains_for_each_seed_where_it_has_time(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_estimate, "measure_steps", lambda *_: Speed(1.0, 0.008))
    monkeypatch.setattr(time_estimate, "probe_seconds", lambda *_: 0.1)
    dataset = Dataset(photos)
    asked = make_plan(dataset, settings="AE")
    once = sum(estimate(asked, dataset).values())
    few, _ = fit_budget(asked, dataset, 1.1 * once / FILL)
    many, seconds = fit_budget(asked, dataset, 36000.0)
    assert (few.pretrainings, many.pretrainings) == (1, 3)
    assert sum(name.startswith("self-supervised-pretraining") for name in seconds) == 3
    assert list(describe(many, asked, 36000.0)) == ["plan     a pre-training for each seed, as there is time for it"]
    given, _ = fit_budget(make_plan(dataset, settings="AE", pretrainings=1), dataset, 36000.0)
    assert given.pretrainings == 1


def test_seeds_that_are_added_later_are_pre_trained_for_as_those_before(
    made_study: Callable[..., object], photos: Path
) -> None:
    study = made_study("AC", seeds=(0, 1))
    trials = tuple(
        trial.model_copy(update={"seconds_train": 10.0, "pretraining": trial.seed})
        for trial in study.trials  # type: ignore[attr-defined]
    )
    study = study.model_copy(update={"trials": trials, "pretrainings": 2})  # type: ignore[attr-defined]
    asked = make_plan(photos, settings="AC")
    plan = replace(asked, fractions=study.fractions, seeds=study.seeds, pretrainings=2)
    larger = refined(plan, asked, study, 12 * 3600.0)
    assert larger is not None
    assert larger.pretrainings == len(larger.seeds) > 2
    assert [larger.number(seed) for seed in (0, 1)] == [plan.number(seed) for seed in (0, 1)]
    without = refined(plan, asked, study, 1800.0)  # a pre-training takes an hour
    assert without is None or len(without.seeds) == 2
