"""A study on sixty photographs: it runs once, continues where it stopped, and records what failed."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import headstart as hs
from headstart.cli.main import main
from headstart.comparison.study import read_study
from headstart.comparison.summary import Results
from headstart.console.study_progress import run_study_with_progress
from headstart.data.dataset import Dataset
from headstart.recipes import recipe as recipes
from headstart.runs.folder import RunFolder
from headstart.runs.training_images import read_trained_on
from headstart.studies import time_estimate as measuring
from headstart.studies import worker
from headstart.studies.budget import fit_budget, read_budget
from headstart.studies.defaults import default_fractions
from headstart.studies.plan import Plan
from headstart.studies.runner import StudyRunner
from headstart.studies.step_time import Speed, measure_steps
from headstart.studies.time_estimate import estimate
from headstart.studies.trainings import Listener, Training, train_to_completion
from narrow import given

pytestmark = pytest.mark.slow

Small = Callable[..., recipes.Recipe]


@pytest.fixture(scope="module")
def small_grid(trained: tuple[Path, Path], small: Small) -> Plan:
    """Settings A, D and G, two fractions, two seeds; the "supervised" weights are those of another run."""
    weights, photos = trained
    return Plan(
        data=str(photos),
        out=Path(),
        recipe=small(backbone__weights=str(weights), train__epochs=2, augment__sizes=[]),
        pretraining=recipes.load("byol-quick"),
        settings="ADG",
        fractions=(0.25, 1.0),
        seeds=(0, 1),
    )


@pytest.fixture
def plan(small_grid: Plan, tmp_path: Path) -> Plan:
    """The grid, to be carried out in a folder of its own."""
    return replace(small_grid, out=tmp_path / "study")


@pytest.fixture(scope="module")
def carried_out(small_grid: Plan, tmp_path_factory: pytest.TempPathFactory) -> StudyRunner:
    """The grid, carried out; to read and not to change."""
    return finish(replace(small_grid, out=tmp_path_factory.mktemp("carried-out") / "study"))


def finish(plan: Plan) -> StudyRunner:
    runner = StudyRunner(plan)
    for _ in runner.run():
        pass
    return runner


def test_every_trial_is_carried_out_as_its_setting_says(carried_out: StudyRunner) -> None:
    runner, plan, study = carried_out, carried_out.plan, carried_out.study
    assert (study.done, study.planned, len(study.failed)) == (12, 12, 0)
    assert [(trial.setting, trial.seed) for trial in study.trials[::2]] == [
        ("D", 0), ("G", 0), ("A", 0), ("D", 1), ("G", 1), ("A", 1)
    ]  # fmt: skip
    for trial in study.trials:
        run = RunFolder.open(plan.trial_folder(trial.setting, trial.fraction, trial.seed))
        assert trial.labels == 48 * trial.fraction
        assert run.recipe.backbone.freeze == (trial.setting != "A")
        assert run.recipe.backbone.weights == (plan.recipe.backbone.weights if trial.setting == "D" else "none")
        assert trial.correct is not None
        assert trial.correct.mean() == pytest.approx(hs.Run(run.path).accuracy)
        assert trial.seconds_train > 0
        assert trial.images_seen == (2 * 48 if trial.setting == "A" else trial.labels)
        assert len(list((run.path / "features").glob("epoch-*"))) == 1, "nothing reads what earlier epochs saw"
        assert set(trial.chosen) == ({"lr"} if trial.setting == "A" else {"l2"})
    chosen = {trial.chosen["lr"] for trial in study.trials if trial.setting == "A"}
    assert chosen == {runner.learning_rates["A", 1.0]}
    assert {trial.tried for trial in study.trials if trial.setting == "A"} == {runner.jobs.tried(("A", 1.0))}
    assert runner.learning_rates["A", 1.0] in runner.jobs.tried(("A", 1.0))


def test_a_comparison_of_its_settings_has_the_intervals_of_the_study(carried_out: StudyRunner) -> None:
    results, comparison = Results(carried_out.study), hs.compare([carried_out.plan.out])
    letters = [each.setting for each in comparison.entries]
    assert letters == ["A", "D", "G"]
    for one, two in comparison.pairs:
        known = results.difference(letters[two], letters[one], 1.0)
        assert known is not None
        assert comparison.difference(one, two) == known


def test_learning_rates_are_chosen_on_training_images_alone(carried_out: StudyRunner) -> None:
    plan = carried_out.plan
    val = {row["filename"] for row in RunFolder.open(plan.trial_folder("A", 1.0, 0)).predictions}
    for folder, _ in plan.tunings("A").values():
        run = RunFolder.open(folder)
        assert run.recipe.data.validate_on == "train"
        assert run.data["counts"]["train"].keys() == {"dress", "hat", "shoes"}
        assert not val & {row["filename"] for row in run.predictions}


@pytest.mark.parametrize("task", ["byol", "vicreg"])
def test_self_supervised_weights_have_not_seen_what_the_trials_are_judged_by(
    plan: Plan, photos: Path, task: str
) -> None:
    """On the labeled folder the same images are held out; from another folder their copies are left out."""
    short = {
        "train.epochs": 1,
        "data.image_size": 32,
        "train.batch_size": 12,
        "byol.hidden_dim": 16,
        "byol.projection_dim": 8,
        "vicreg.projection_dim": 16,
        "task": task,
    }
    changed = recipes.override(plan.recipe, {"data.val_fraction": 0.4})
    settings = recipes.override(plan.pretraining, short)
    plan = replace(plan, settings="E", fractions=(1.0,), seeds=(0,), recipe=changed, pretraining=settings)
    for unlabeled in (None, str(photos)) if task == "byol" else (None,):
        each = replace(plan, out=plan.out / str(unlabeled is None), unlabeled=unlabeled)
        study = finish(each).study
        assert study.done == 1
        trial = RunFolder.open(each.trial_folder("E", 1.0, 0))
        pretrained = RunFolder.open(each.folder("self-supervised"))
        assert pretrained.recipe.task == task
        assert trial.environment["weights"]["file"].startswith(str(pretrained.path))
        content = {name: blake2b((photos / name).read_bytes(), digest_size=16).hexdigest() for name in names(photos)}
        judged = {content[row["filename"]] for row in trial.predictions}
        assert len(judged) == 24
        assert not judged & read_trained_on(pretrained)


def names(folder: Path) -> list[str]:
    return [file.relative_to(folder).as_posix() for file in folder.rglob("*.jpg")]


def test_table_json_and_report_say_the_same(carried_out: StudyRunner) -> None:
    plan = carried_out.plan
    study = read_study(plan.out / "study.json")
    table = pd.read_csv(plan.out / "table.csv")
    assert len(table) == 6
    for _, line in table.iterrows():
        trials = study.at(line["setting"], line["label_fraction"])
        assert line["accuracy"] == pytest.approx(
            np.mean([given(trial.correct).mean() for trial in trials if trial.correct is not None])
        )
    page = (plan.out / "report.html").read_text(encoding="utf-8")
    assert "from scratch" in page
    assert "probe supervised" in page


def test_each_setting_s_first_model_has_a_report_with_pictures_that_the_page_links_to(carried_out: StudyRunner) -> None:
    plan = carried_out.plan
    page = (plan.out / "report.html").read_text(encoding="utf-8")
    for setting in plan.settings:
        run = plan.trial_folder(setting, 1.0, plan.seeds[0])
        report = (run / "report.html").read_text(encoding="utf-8")
        assert f'href="{(run / "report.html").relative_to(plan.out).as_posix()}"' in page
        wrong = [row for row in RunFolder.open(run).predictions if row["label"] != row["predicted"]]
        assert report.count('<img src="data:image/jpeg') == min(len(wrong), 24)
        assert "validation accuracy" in (run / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_a_study_that_was_stopped_goes_on_and_does_nothing_twice(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = replace(plan, seeds=(0,))
    events = StudyRunner(plan).run()
    for _ in range(3):
        next(events)
    assert isinstance(events, Generator)
    events.close()
    trained: list[str] = []
    original = train_to_completion

    def counted(training: Training, dataset: Dataset, listener: Listener) -> bool:
        trained.append(training.name)
        return original(training, dataset, listener)

    monkeypatch.setattr(worker, "train_to_completion", counted)
    assert finish(plan).study.done == 6
    trials = [name for name in trained if "lr" not in name]
    assert len(trials) == 3
    again: list[str] = []
    monkeypatch.setattr(worker, "train_to_completion", lambda training, *_: again.append(training.name))
    assert finish(plan).study.done == 6
    assert again == []


def test_a_trial_that_fails_is_marked_and_tried_again(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    original, plan = train_to_completion, replace(plan, seeds=(0,), settings="DG")

    def broken(training: Training, dataset: Dataset, listener: Listener) -> bool:
        if training.name == "G-0.25-seed0":
            raise RuntimeError("the disk caught fire")
        return original(training, dataset, listener)

    with monkeypatch.context() as patched:
        patched.setattr(worker, "train_to_completion", broken)
        study = finish(plan).study
    assert (study.done, len(study.failed)) == (3, 1)
    assert study.failed[0].error == "RuntimeError: the disk caught fire"
    assert "the disk caught fire" in (plan.out / "report.html").read_text(encoding="utf-8")
    study = finish(plan).study
    assert (study.done, len(study.failed)) == (4, 0)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"settings": "AD"}, r"settings \('A', 'D', 'G'\)\), found \('A', 'D'\) requested"),
        ({"fractions": (1.0,)}, r"fractions \(0.25, 1.0\)\), found \(1.0,\)"),
        ({"seeds": (0, 1, 2)}, r"seeds \(0, 1\)\), found \(0, 1, 2\)"),
        ({"tuned": False}, r"tuned True\), found False"),
    ],
)
def test_a_folder_of_another_grid_is_refused(change: dict[str, object], expected: str, plan: Plan) -> None:
    next(StudyRunner(plan).run())
    with pytest.raises(hs.HeadstartError, match=expected):
        StudyRunner(replace(plan, **change))  # type: ignore[arg-type]


def test_a_folder_of_another_recipe_or_of_other_data_is_refused(plan: Plan, small: Small) -> None:
    plan = replace(plan, data=str(shutil.copytree(plan.data, plan.out.parent / "copy")))
    next(StudyRunner(plan).run())
    other = recipes.override(plan.recipe, {"optimizer.lr": 0.5})
    with pytest.raises(hs.HeadstartError, match=r"\(optimizer.lr: 0.001 in the folder, 0.5 requested\)"):
        StudyRunner(replace(plan, recipe=other))
    next(Path(plan.data, "dress").glob("*.jpg")).unlink()
    with pytest.raises(hs.HeadstartError, match="fingerprint"):
        StudyRunner(plan)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"settings": "AX"}, "expected letters of ABCDEFG, each once, found AX"),
        ({"settings": "AA"}, "each once"),
        ({"fractions": (0.0, 1.0)}, r"expected shares above 0 and up to 1, each once, found \[0.0\]"),
        ({"fractions": (0.01,)}, r"data.label_fraction 0.01.*the smallest fraction is 0.0313"),
        ({"seeds": ()}, "--seeds: expected at least 1"),
        (
            {"pretraining": recipes.load("quick")},
            r"expected a recipe of a task without labels \(byol, .*\), found the task classify",
        ),
        ({"unlabeled": "/nowhere", "settings": "C"}, "/nowhere: expected a folder of images, found no such folder"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused_before_anything_is_written(
    change: dict[str, object], expected: str, plan: Plan
) -> None:
    with pytest.raises(hs.HeadstartError, match=expected):
        StudyRunner(replace(plan, **change))  # type: ignore[arg-type]
    assert not plan.out.exists()


def test_supervised_settings_need_weights_or_a_corpus(plan: Plan) -> None:
    bare = replace(plan, recipe=recipes.override(plan.recipe, {"backbone.weights": "none"}))
    with pytest.raises(
        hs.HeadstartError, match=r"setting D: expected supervised weights, found backbone\.weights none"
    ):
        StudyRunner(bare)


def test_fractions_that_are_possible_are_the_default(photos: Path, small: Small) -> None:
    assert default_fractions(Dataset(photos), small()) == (0.05, 0.1, 0.25, 0.5, 1.0)
    for file in sorted((photos / "hat").iterdir())[4:]:
        file.unlink()
    assert default_fractions(Dataset(photos), small()) == (0.25, 0.5, 1.0)


@pytest.fixture
def slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Estimates for a machine on which an image takes 20 ms, and the start of a training next to nothing."""
    monkeypatch.setattr(measuring, "measure_steps", lambda *_: Speed(0.1, 0.02))
    monkeypatch.setattr(measuring, "probe_seconds", lambda *_: 0.1)


@pytest.mark.usefixtures("slow_machine")
def test_an_estimate_names_every_training_and_a_budget_shortens_them(plan: Plan) -> None:
    longer = replace(plan, recipe=recipes.override(plan.recipe, {"train.epochs": 40}))
    dataset = StudyRunner(longer).dataset
    seconds = estimate(longer, dataset)
    trials = {f"{s}-{f:g}-seed{n}" for s in "ADG" for f in (0.25, 1.0) for n in (0, 1)}
    assert set(seconds) == trials | {recipe.name for _, recipe in longer.tunings("A").values()}
    assert all(value > 0 for value in seconds.values())
    free = replace(longer, free=frozenset({"epochs"}))
    shorter, _ = fit_budget(free, dataset, 0.6 * sum(seconds.values()))
    assert shorter.recipe.train.epochs < 40
    with pytest.raises(hs.HeadstartError, match=r"--budget: expected at least \d+m for the smallest study"):
        fit_budget(free, dataset, 1.0)


def test_what_is_done_is_not_measured_again(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = replace(plan, settings="AG", seeds=(0,))
    runner = finish(plan)
    measured: list[str] = []
    original = measure_steps

    def counted(recipe: recipes.Recipe, classes: Sequence[str], side: int) -> Speed:
        measured.append(recipe.task)
        return original(recipe, classes, side)

    monkeypatch.setattr(measuring, "measure_steps", counted)
    said = io.StringIO()
    assert run_study_with_progress(plan, console=Console(file=said)).done == 4
    assert measured == []
    assert "nothing remaining: every trial is finished" in said.getvalue()
    done = runner.finished() - {"G-1-seed0"}
    assert set(estimate(plan, runner.dataset, done)) == {"G-1-seed0"}  # A's learning rates need no measuring either
    assert measured == ["classify"]


@pytest.mark.usefixtures("slow_machine")
def test_a_study_with_a_budget_is_carried_out_and_taken_up_again(plan: Plan) -> None:
    """Looking at the plan twice, as choosing the epochs does, leaves nothing behind that is then in the way."""
    long = replace(
        plan, settings="AG", seeds=(0,), free=frozenset({"epochs"}),
        recipe=recipes.override(plan.recipe, {"train.epochs": 60}),
    )  # fmt: skip
    said = sum(estimate(long, StudyRunner(long).dataset).values())
    assert not plan.out.exists()
    quiet = Console(file=io.StringIO())
    study = run_study_with_progress(long, budget=f"{max(1, 0.5 * said):.0f}s", console=quiet)
    if study.done < 4:  # the machine was slower than when the steps were timed, and the budget has ended
        study = run_study_with_progress(long, budget="1h", console=quiet)
    assert study.done == 4
    shortened = recipes.load(str(plan.out / "recipe.toml")).train.epochs
    assert shortened < 60
    for budget in ("1h", None):
        assert run_study_with_progress(long, budget=budget, console=quiet).to_json() == study.to_json()
    other = replace(long, recipe=recipes.override(plan.recipe, {"train.epochs": shortened}))
    with pytest.raises(hs.HeadstartError, match=rf"train.epochs: 60 in the folder, {shortened} requested") as caught:
        run_study_with_progress(other, console=quiet)
    assert caught.value.hint == "choose another --out"


@pytest.mark.parametrize(
    ("recipe", "more", "told"),
    [
        ({"train.epochs": 6}, {}, r"\(train.epochs: 2 in the folder, 6 requested\)"),
        (
            {"augment.hflip": 0.0, "analysis.epochs": [1]},
            {},
            r"\(augment.hflip: 0.5 in the folder, 0.0 requested; analysis.epochs: \[\] in the folder, \[1\] requested",
        ),
        ({}, {"pretraining": recipes.load("byol-quick", {"train.epochs": 7})}, r"\(pretraining.train.epochs: \d+ in"),
        ({}, {"unlabeled": "photos"}, r"\(unlabeled: none in the folder, photos requested\)"),
    ],
)
def test_a_call_with_other_arguments_names_the_differences(
    recipe: dict[str, object], more: dict[str, object], told: str, plan: Plan
) -> None:
    events = StudyRunner(plan).run()
    next(events)
    assert isinstance(events, Generator)
    events.close()
    other = replace(plan, recipe=recipes.override(plan.recipe, recipe), **more)  # type: ignore[arg-type]
    with pytest.raises(hs.HeadstartError, match=told):
        StudyRunner(other)


@pytest.mark.parametrize(("written", "found"), [({}, 1), ({"format": 3}, 3)])
def test_a_study_of_another_format_is_refused_in_one_line(written: dict[str, int], found: int, plan: Plan) -> None:
    plan.out.mkdir()
    (plan.out / "study.json").write_text(json.dumps({"data": plan.data, "cells": [], **written}), encoding="utf-8")
    (plan.out / "recipe.toml").write_text("[views]\nhflip = 0.5\n", encoding="utf-8")  # fields of an older headstart
    with pytest.raises(hs.HeadstartError, match=f"expected a study of format 2, found format {found}") as caught:
        StudyRunner(plan)
    assert "\n" not in caught.value.message


def test_a_folder_without_what_was_requested_is_refused(plan: Plan) -> None:
    next(StudyRunner(plan).run())
    (plan.out / "requested.toml").unlink()
    with pytest.raises(hs.HeadstartError, match=r"requested\.toml: expected what the study was started with"):
        StudyRunner(plan)


def test_budgets_are_read() -> None:
    assert [read_budget(text) for text in ("90s", "30m", "1.5h")] == [90, 1800, 5400]
    for text in ("soon", "0m", "30"):
        with pytest.raises(hs.HeadstartError, match="expected a time such as 30m"):
            read_budget(text)


def test_without_tuning_the_epoch_is_judged_by_cross_fitting(plan: Plan) -> None:
    report = replace(plan, tuned=False, settings="AD", fractions=(1.0,), seeds=(0,))
    study = finish(report).study
    assert {trial.setting for trial in study.trials} == {"A", "D"}
    for trial in study.trials:
        assert trial.optimism is not None
        assert trial.chosen == {}
        run = RunFolder.open(report.trial_folder(trial.setting, 1.0, 0))
        assert run.recipe.optimizer == plan.recipe.optimizer
        assert trial.correct is not None
        flattering = hs.Run(run.path).accuracy
        assert flattering == pytest.approx(trial.correct.mean() + trial.optimism)


def test_the_command_says_how_long_shows_the_table_and_python_gives_it(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(plan.recipe.to_toml(), encoding="utf-8")
    words = ["study", plan.data, "--recipe", str(file), "--settings", "ag", "--labels", "0.5,1", "--seeds", "1"]
    monkeypatch.setattr(sys, "argv", ["headstart", *words, "--out", str(plan.out)])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 0
    shown = capsys.readouterr()
    assert "7 trainings remaining, about" in shown.err
    assert "(4 of 4 trials)" in shown.err
    assert "from scratch" in shown.out
    assert str(plan.out / "report.html") in shown.out
    study = read_study(plan.out / "study.json")
    best = max("AG", key=lambda each: [given(trial.correct).mean() for trial in study.at(each, 1.0)])
    assert f"headstart predict {plan.trial_folder(best, 1.0, 0)} IMAGES" in shown.out
    table = hs.study(
        plan.data, settings="AG", labels=[0.5, 1], seeds=1, out=plan.out, recipe=str(file),
        console=Console(file=io.StringIO()),
    )  # fmt: skip
    assert list(table["setting"]) == ["A", "A", "G", "G"]
    assert table["accuracy"].between(0, 1).all()
