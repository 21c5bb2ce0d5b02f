"""A study within a budget: what is chosen, what the user asked for stays, and it ends in time."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

import headstart as hs
from headstart.console.study_progress import run_study_with_progress
from headstart.data.dataset import Dataset
from headstart.recipes import recipe as recipes
from headstart.runs.folder import RunFolder
from headstart.studies import budget as budgets
from headstart.studies import request, time_estimate
from headstart.studies.budget import FILL, describe, fit_budget, shortened
from headstart.studies.plan import Plan
from headstart.studies.refinement import refined
from headstart.studies.request import make_plan
from headstart.studies.step_time import Speed, measure_steps
from headstart.studies.time_left import Deadline, TimeLeft
from headstart.training import feature_cache
from headstart.training.loop import train
from headstart.training.setup import start

Small = Callable[..., recipes.Recipe]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which a training image of 96 px takes 8 ms, and a probe no time."""

    def speed(recipe: recipes.Recipe, classes: object, side: int) -> Speed:
        return Speed(1.0, (0.002 + 0.006 * (side / 96) ** 2) * (4 if recipe.task == "byol" else 1))

    monkeypatch.setattr(time_estimate, "measure_steps", speed)
    monkeypatch.setattr(time_estimate, "probe_seconds", lambda *_: 0.1)


@pytest.mark.usefixtures("machine")
def test_a_shorter_pretraining_has_crops_in_proportion_to_its_smaller_images(photos: Path) -> None:
    dataset = Dataset(photos)
    overrides = {"data.image_size": 48, "augment.sizes": []}
    asked = make_plan(dataset, settings="AC", overrides=overrides)
    own, sides = asked.pretraining, list[int]()
    assert (own.name, own.data.image_size, own.augment.sizes) == ("emp-ssl-quick", 64, (32,))
    for budget in (8.0, 12.0, 60.0):
        shorter = fit_budget(asked, dataset, budget, at_least=True)[0].pretraining
        assert shorter.augment.sizes == (shorter.data.image_size // 2,)
        assert shorter.train.epochs <= own.train.epochs
        sides.append(shorter.data.image_size)
    assert sides == sorted(sides)
    assert sides[0] < sides[-1], "few steps see more of smaller images"


@pytest.mark.usefixtures("machine")
def test_a_budget_buys_images_then_labels_and_seeds(photos: Path) -> None:
    """On 48 training images the ladder's caps do not bind; what the budget changes is what the study costs."""
    dataset = Dataset(photos)
    asked = make_plan(dataset)
    last, chosen = 0.0, []
    for minutes in (2, 4, 8, 16, 600):
        plan, seconds = fit_budget(asked, dataset, 60.0 * minutes)
        total = sum(seconds.values())
        assert last <= total <= 60 * minutes * budgets.FILL
        assert len(seconds) >= len(list(plan.trials()))
        last = total
        chosen.append((plan.recipe.data.image_size, len(plan.fractions), len(plan.seeds)))
        assert 1.0 in plan.fractions
        assert plan.settings == "ABCDE", "no setting is dropped"
    assert chosen == sorted(chosen)
    assert chosen[0] < chosen[-1] == (160, 5, 3)
    assert plan.recipe == asked.recipe
    assert plan.pretrainings == 3
    assert list(describe(replace(plan, pretrainings=1), asked, 36000.0)) == [], "all that was asked for"


def test_a_study_says_how_much_shorter_its_trainings_are_than_the_recipe_asks(photos: Path) -> None:
    plan = make_plan(Dataset(photos), settings="A", overrides={"train.epochs": 5, "augment.sizes": []})
    assert shortened(plan) == ""
    short = recipes.override(plan.recipe, {"train.epochs": 2})
    assert shortened(replace(plan, recipe=short, requested=(plan.recipe, plan.pretraining))) == (
        f"{plan.recipe.data.image_size} px, 2 epochs, where {plan.recipe.name} asks for"
        f" {plan.recipe.data.image_size} px, {plan.recipe.train.epochs} epochs"
    )


@pytest.mark.usefixtures("machine")
def test_what_the_user_chose_stays(photos: Path) -> None:
    dataset = Dataset(photos)
    overrides = {"data.image_size": 96, "augment.sizes": [], "train.epochs": 2}
    asked = make_plan(dataset, labels=[0.5, 1.0], seeds=4, overrides=overrides, settings="AD")
    plan, seconds = fit_budget(asked, dataset, 180.0)
    assert (plan.fractions, plan.seeds, plan.recipe) == (asked.fractions, asked.seeds, asked.recipe)
    with pytest.raises(hs.HeadstartError, match=r"--budget: expected at least \dm for the smallest study") as caught:
        fit_budget(asked, dataset, 0.3 * sum(seconds.values()))
    assert "--budget" in caught.value.hint


@pytest.mark.usefixtures("machine")
def test_a_shortened_fine_tuning_starts_from_a_probe_unless_asked_otherwise(photos: Path) -> None:
    dataset = Dataset(photos)
    for overrides, begins in (({}, "probe"), ({"head.hidden": [8]}, "random"), ({"head.start": "random"}, "random")):
        asked = make_plan(dataset, settings="ABD", recipe="quick", overrides=overrides)
        plan, _ = fit_budget(asked, dataset, 240.0)
        shorter = plan.trial("B", 1.0, 0)
        assert (shorter.head.start, shorter.backbone.freeze_batchnorm) == (begins, begins == "probe")
        rates = [sorted(plan.tunings(setting)) for setting in "AB"]
        assert rates[1] == pytest.approx([lr / 3 if begins == "probe" else lr for lr in rates[0]], rel=0.05)
        said = any("fine-tuning starts from a linear probe" in line for line in describe(plan, asked, 240.0))
        assert said == (begins == "probe") == ("linear probe" in shortened(plan))


@pytest.mark.usefixtures("machine")
def test_a_large_folder_is_trained_on_in_part_of_an_epoch(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = Dataset(photos)
    asked = make_plan(dataset)
    estimator = time_estimate.TimeEstimator(asked, dataset)
    estimator.train = 50_000
    monkeypatch.setattr(budgets, "TimeEstimator", lambda *_: estimator)
    plan, seconds = fit_budget(asked, dataset, 600.0)
    assert sum(seconds.values()) <= 600 * budgets.FILL
    assert plan.recipe.train.images_per_epoch is not None
    assert plan.recipe.train.images_per_epoch < 50_000
    assert any(f"{plan.recipe.train.images_per_epoch:,} images" in line for line in describe(plan, asked, 600.0))
    assert plan.pretraining.train.images_per_epoch is not None


def test_a_deadline_holds_back_what_would_end_late() -> None:
    clock = [0.0]
    seconds = {"a": 100.0, "b": 100.0, "c": 10.0}
    left = TimeLeft(seconds, now=lambda: clock[0])
    deadline = Deadline(300.0, left, began=0.0, now=lambda: clock[0])
    assert deadline.allows("a")
    clock[0] = 200.0  # twice as long as estimated
    left.advance("a", 1.0, 1)
    assert not deadline.allows("b")
    assert deadline.allows("c")
    assert deadline.held_back == ["b"]


@pytest.mark.slow
def test_a_study_ends_with_its_budget_and_a_second_call_goes_on(
    photos: Path, tmp_path: Path, small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = Plan(
        data=str(photos),
        out=tmp_path / "study",
        recipe=small(backbone__weights="none", train__epochs=1, augment__sizes=[], backbone__name="test_resnet"),
        pretraining=recipes.load("byol-quick"),
        settings="AG",
        fractions=(0.5, 1.0),
        seeds=(0, 1),
        free=frozenset({"fractions", "seeds"}),
    )
    quiet = Console(file=io.StringIO())
    monkeypatch.setattr(Deadline, "allows", _only(Deadline.allows, "G-1-seed0"))
    study = run_study_with_progress(plan, budget="1h", console=quiet)
    assert [(trial.setting, trial.fraction, trial.seed) for trial in study.trials] == [("G", 1.0, 0)]
    assert "the budget of 60m has ended with" in quiet.file.getvalue()  # type: ignore[attr-defined]
    monkeypatch.undo()
    whole = run_study_with_progress(plan, budget="1h", console=quiet)
    assert whole.done == whole.planned == 8
    # A larger budget adds what was left out, and trains nothing twice.
    times = {run: run.stat().st_mtime_ns for run in (plan.out / "trials").glob("*/metrics.csv")}
    wider = replace(plan, fractions=(0.25, 0.5, 1.0), seeds=(0, 1, 2))
    larger = run_study_with_progress(wider, budget="10s", console=quiet)
    assert set(larger.fractions) >= {0.5, 1.0}
    assert len(larger.seeds) > 2
    assert all(run.stat().st_mtime_ns == time for run, time in times.items())
    again = run_study_with_progress(wider, budget=None, console=quiet)
    assert (again.fractions, again.seeds) == (larger.fractions, larger.seeds)


@pytest.mark.slow
@pytest.mark.usefixtures("machine")  # a busy one would need two minutes
def test_a_study_without_a_chosen_budget_gets_the_least_that_it_needs(
    photos: Path, tmp_path: Path, small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budgets, "DEFAULT", 0.01)
    recipe = small(backbone__weights="none", backbone__name="test_resnet")
    plan = make_plan(photos, recipe=recipe, settings="AG", labels=[1.0], out=tmp_path / "study")
    quiet = Console(file=io.StringIO())
    with pytest.raises(hs.HeadstartError, match="--budget: expected at least 1m"):
        run_study_with_progress(plan, budget="0.01s", console=quiet)
    study = run_study_with_progress(plan, budget="auto", console=quiet)
    assert study.done == study.planned >= 4, "a third seed where there is time left"
    said = quiet.file.getvalue()  # type: ignore[attr-defined]
    assert "of the default budget of 1m, the least for these settings" in said
    assert "2 seeds" in said


@pytest.mark.usefixtures("machine")
def test_ten_minutes_of_masks_train_small_windows_without_tuning_and_an_hour_more(
    small_tiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_estimate, "measure_run", lambda *_: Speed(1.0, 0.02))
    dataset = Dataset(small_tiles)
    monkeypatch.setattr(time_estimate.TimeEstimator, "_area", lambda *_: 512.0**2)  # as large as maps are
    squash = {"data.resize": "squash"}  # so that the small images can be as large as windows
    asked = replace(make_plan(dataset), recipe=recipes.load("segment-quick", squash))
    estimator = time_estimate.TimeEstimator(asked, dataset)
    estimator.train, estimator.val = 200, 40
    monkeypatch.setattr(budgets, "TimeEstimator", lambda *_: estimator)
    short, seconds = fit_budget(asked, dataset, 600.0)
    assert sum(seconds.values()) <= 600 * budgets.FILL
    assert not short.tuned
    assert short.settings == "ABCDE"
    assert short.recipe.data.image_size < asked.recipe.data.image_size
    assert short.recipe.probe.views > 0
    assert any("no time to tune it for each" in line for line in describe(short, asked, 600.0))
    assert not any("-lr" in name for name in seconds)
    longer, _ = fit_budget(asked, dataset, 36000.0)
    assert longer.tuned
    assert not any("no time to tune" in line for line in describe(longer, asked, 36000.0))
    kept, _ = fit_budget(replace(asked, settings="AB", free=asked.free - {"tuned"}), dataset, 3600.0)
    assert kept.tuned
    assert "tuned" not in make_plan(dataset, tune=True).free


def test_windows_of_a_default_recipe_fit_into_small_images(small_tiles: Path) -> None:
    assert make_plan(small_tiles).recipe.data.image_size == 32, "of images of 48 px"
    assert make_plan(small_tiles, overrides={"data.image_size": 48}).recipe.data.image_size == 48


def _only(allows: Callable[[Deadline, str], bool], wanted: str) -> Callable[[Deadline, str], bool]:
    def method(self: Deadline, name: str) -> bool:
        if name == wanted:
            return allows(self, name)
        self.held_back.append(name)
        return False

    return method


@pytest.mark.slow
def test_a_study_that_ends_early_goes_on_with_what_was_left_out(
    photos: Path, tmp_path: Path, small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = small(backbone__weights="none", train__epochs=1, augment__sizes=[], backbone__name="test_resnet")
    plan = make_plan(photos, recipe=recipe, settings="G", out=tmp_path / "study")
    plan = replace(plan, fractions=(0.5, 1.0), seeds=(0, 1))
    least = replace(plan, fractions=(1.0,), seeds=(0,), requested=(plan.recipe, plan.pretraining))
    monkeypatch.setattr(request, "fit_budget", lambda *_, **__: (least, {"G-1-seed0": 1.0}))
    quiet = Console(file=io.StringIO())
    study = run_study_with_progress(plan, budget="1h", console=quiet)
    assert (study.fractions, study.seeds, study.done) == ((0.5, 1.0), (0, 1), 4), "all that was asked for, and no more"
    assert "more     50% of the labels, 1 seed, for which there is time left" in quiet.file.getvalue()  # type: ignore[attr-defined]


def test_a_refined_study_adds_what_fits(made_study: Callable[..., object], photos: Path) -> None:
    study = made_study("AB", seeds=(0, 1))
    trials = tuple(trial.model_copy(update={"seconds_train": 10.0}) for trial in study.trials)  # type: ignore[attr-defined]
    study = study.model_copy(update={"trials": trials})  # type: ignore[attr-defined]
    asked = make_plan(photos, settings="AB")
    plan = replace(asked, fractions=study.fractions, seeds=study.seeds)
    assert refined(plan, asked, study, 1.0) is None
    larger = refined(plan, asked, study, 3600.0)
    assert larger is not None
    assert set(larger.fractions) >= set(asked.fractions)
    assert len(larger.seeds) > len(asked.seeds)
    # One label fraction, tuned with all labels alone, costs 3 trials of 10 s for each setting; each search 60 s more.
    whole = replace(plan, fractions=(1.0,), seeds=asked.seeds, tune_from=1.0)
    done = tuple(
        trial.model_copy(update={"seconds_tune": 60.0, "seed": seed, "fraction": 1.0})
        for seed, trial in itertools.product(asked.seeds, [t for t in trials if t.seed == 0 and t.fraction == 1])
    )
    one = study.model_copy(update={"trials": done, "fractions": (1.0,), "seeds": asked.seeds})
    more = refined(whole, asked, one, 61 / FILL, most_seeds=3)
    assert more is not None
    assert more.fractions == (min(asked.fractions, key=lambda each: abs(each - 0.1)), 1.0)
    assert refined(whole, asked, one, 59 / FILL, most_seeds=3) is None
    tuned_too = replace(whole, tune_from=0.05)
    assert refined(tuned_too, asked, one, 179 / FILL, most_seeds=3) is None
    assert refined(tuned_too, asked, one, 181 / FILL, most_seeds=3) is not None
    assert refined(replace(whole, fractions=asked.fractions), asked, one, 3600.0, most_seeds=3) is None


def test_steps_are_timed_without_images(small: Small, masked: Small, unlabeled: Small) -> None:
    for recipe in (small(backbone__weights="none"), masked(), unlabeled()):
        speed = measure_steps(recipe, ("a", "b", "c"), 32)
        assert speed.image > 0
        assert speed.start > 0


@pytest.mark.slow
def test_an_epoch_may_be_part_of_the_images(photos: Path, tmp_path: Path, small: Small) -> None:
    training = start(
        small(train__images_per_epoch=20, train__epochs=3, backbone__weights="none"), str(photos), tmp_path / "run"
    )
    orders = [training.epoch_rows(epoch) for epoch in range(3)]
    assert all(len(set(order)) == 20 for order in orders)
    assert len(set(np.concatenate(orders).tolist())) > 30, "other images in every epoch"
    for _ in train(training):
        pass
    assert {row["images"] for row in RunFolder.open(tmp_path / "run").metrics if row["split"] == "train"} == {20}


@pytest.mark.slow
def test_probes_on_one_backbone_share_one_pass(
    photos: Path, tmp_path: Path, small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = []
    original = feature_cache._cache_plain

    def counted(*arguments: object) -> object:
        passes.append(1)
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(feature_cache, "_cache_plain", counted)
    monkeypatch.setattr(feature_cache, "_shared", {})  # another test's study has looked at these images
    changes = {
        "backbone__weights": "none", "backbone__freeze": True, "probe__method": "logistic", "train__epochs": 1,
        "augment__sizes": [], "checkpoint__monitor": "last", "head__dropout": 0.0,
    }  # fmt: skip
    for number, fraction in enumerate((1.0, 0.5, 0.25)):
        recipe = small(**changes, probe__share_features=True, data__label_fraction=fraction)
        for _ in train(start(recipe, str(photos), tmp_path / f"{number}")):
            pass
    assert len(passes) == 1
    for _ in train(start(small(**changes), str(photos), tmp_path / "alone")):
        pass
    shared, alone = (load_file(tmp_path / run / "weights" / "last.safetensors") for run in ("0", "alone"))
    for name, tensor in alone.items():
        torch.testing.assert_close(shared[name], tensor)
