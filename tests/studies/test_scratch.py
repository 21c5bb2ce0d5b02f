"""What starts from random weights has a recipe of its own beside the default one: a network that learns in minutes."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

import headstart as hs
from headstart.comparison.findings import findings
from headstart.comparison.summary import Results
from headstart.console.study_progress import run_study_with_progress
from headstart.data.dataset import Dataset
from headstart.recipes import recipe as recipes
from headstart.runs.folder import RunFolder
from headstart.studies import time_estimate
from headstart.studies.budget import describe, fit_budget
from headstart.studies.request import make_plan
from headstart.studies.step_time import Speed

SMALL = {"data.image_size": 32, "augment.sizes": [], "val.image_size": None}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which an image of 96 px takes 2 ms of the small network, and 8 ms of others."""

    def speed(recipe: recipes.Recipe, classes: object, side: int) -> Speed:
        return Speed(1.0, (side / 96) ** 2 * (0.002 if recipe.backbone.name == "resnet8s" else 0.008))

    monkeypatch.setattr(time_estimate, "measure_steps", speed)
    monkeypatch.setattr(time_estimate, "probe_seconds", lambda *_: 0.1)


def test_it_is_chosen_where_nobody_chose_a_recipe_or_a_network(photos: Path, small_tiles: Path) -> None:
    default, images = make_plan(photos), make_plan(photos, overrides=SMALL)
    for plan in (default, images):
        theirs = plan.trial("B", 1.0, 0)
        assert {plan.trial(each, 1.0, 0).backbone.name for each in "BDF"} == {"tf_efficientnet_lite0"}
        pretrained, _ = plan.pretrain("self-supervised")
        for setting in "ACEG":
            ours = plan.trial(setting, 1.0, 0)
            assert ours.backbone.name == pretrained.backbone.name == "resnet8s"
            assert ours.augment.mean == pretrained.augment.mean, "a pre-trained network sees the same numbers later"
            assert ours.data == theirs.data, "the same images"
        assert plan.trial("A", 1.0, 0).backbone.weights == "none"
        assert plan.pretrain("continued")[0].backbone.name == "tf_efficientnet_lite0"
    assert default.trial("A", 1.0, 0).train.epochs == 60, "few images want many epochs"
    for asked in ({"recipe": "quick"}, {"overrides": {"optimizer.lr": 0.1}}):
        plan = make_plan(photos, **asked)
        assert plan.trial("A", 1.0, 0).backbone.name == plan.trial("B", 1.0, 0).backbone.name
    assert make_plan(small_tiles).scratch is None, "with masks"


@pytest.mark.usefixtures("machine")
def test_within_a_budget_it_trains_as_long_as_a_fine_tuning(photos: Path) -> None:
    dataset = Dataset(photos)
    asked = make_plan(dataset, settings="AB")
    for budget in (40.0, 90.0, 200.0):
        plan, _ = fit_budget(asked, dataset, budget)
        seen = {}
        for setting in "AB":
            recipe = plan.trial(setting, 1.0, 0)
            images = recipe.train.images_per_epoch or 10**9
            areas = sum(recipe.train_size(epoch) ** 2 for epoch in range(recipe.train.epochs))
            seen[setting] = min(images, len(dataset.index(recipe.data).positions("train"))) * areas
            assert max(recipe.augment.sizes or (0,)) <= recipe.data.image_size
            assert recipe.train.epochs % (recipe.val.every if setting == "A" else 1) == 0
        # Four times as fast for a pixel; whole epochs, and 60 of them at most.
        epochs = plan.trial("A", 1.0, 0).train.epochs
        assert seen["A"] == pytest.approx(4 * seen["B"], rel=0.6) or epochs in (1, 60)
    assert any("A by scratch-quick (resnet8s at" in line for line in describe(plan, asked, budget))


@pytest.mark.slow
def test_a_study_says_so_and_goes_on_as_it_began(photos: Path, tmp_path: Path) -> None:
    quiet, out = Console(file=io.StringIO()), tmp_path / "study"
    choices: dict[str, object] = {"settings": "A", "labels": [1.0], "out": out}
    plan = make_plan(photos, seeds=2, overrides=SMALL, **choices)  # type: ignore[arg-type]
    study = run_study_with_progress(plan, budget="auto", console=quiet)
    assert study.done == study.planned == 2
    run = RunFolder.open(out / "trials" / "A-1-seed0")
    assert run.recipe.backbone.name == "resnet8s"
    assert f"({run.recipe.backbone.name} at 24 to 32 px, {run.recipe.train.epochs} epochs" in study.scratch
    assert any(study.scratch in each for each in findings(Results(study)))
    assert study.scratch in (out / "report.html").read_text(encoding="utf-8")
    again = run_study_with_progress(plan, budget="auto", console=quiet)
    assert again.to_json() == study.to_json()
    alike = make_plan(photos, seeds=2, recipe="quick", overrides=SMALL, **choices)  # type: ignore[arg-type]
    with pytest.raises(hs.HeadstartError, match="scratch: scratch-quick in the folder"):
        run_study_with_progress(alike, budget="auto", console=quiet)


@pytest.mark.slow
def test_a_study_of_an_earlier_version_keeps_its_recipe_for_all(photos: Path, tmp_path: Path) -> None:
    quiet, out = Console(file=io.StringIO()), tmp_path / "study"
    choices: dict[str, object] = {"settings": "G", "labels": [1.0], "out": out, "overrides": SMALL}
    plan = make_plan(photos, seeds=1, recipe="quick", **choices)  # type: ignore[arg-type]
    run_study_with_progress(plan, budget="auto", console=quiet)
    requested = (out / "requested.toml").read_text(encoding="utf-8")
    (out / "requested.toml").write_text(requested.replace('scratch = ""\n', ""), encoding="utf-8")
    later = make_plan(photos, seeds=1, **choices)  # type: ignore[arg-type]
    assert later.scratch is not None
    assert run_study_with_progress(later, budget="auto", console=quiet).scratch == ""


@pytest.mark.slow
def test_a_study_of_a_version_with_a_alone_by_its_own_recipe_goes_on_so(photos: Path, tmp_path: Path) -> None:
    quiet, out = Console(file=io.StringIO()), tmp_path / "study"
    plan = make_plan(photos, settings="G", labels=[1.0], seeds=1, out=out, overrides=SMALL)
    before = run_study_with_progress(replace(plan, scratch_settings="A"), budget="auto", console=quiet)
    requested = (out / "requested.toml").read_text(encoding="utf-8")
    assert 'scratch_settings = "A"\n' in requested
    (out / "requested.toml").write_text(requested.replace('scratch_settings = "A"\n', ""), encoding="utf-8")
    assert run_study_with_progress(plan, budget="auto", console=quiet).to_json() == before.to_json()
    assert RunFolder.open(out / "trials" / "G-1-seed0").recipe.backbone.name == "tf_efficientnet_lite0"
