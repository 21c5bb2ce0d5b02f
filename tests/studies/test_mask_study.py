"""The study on image and mask pairs: decoders on frozen maps, mean IoU in the place of accuracy, BYOL on the tiles."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from rich.console import Console

import headstart as hs
from headstart.comparison.study import read_study
from headstart.console.study_progress import study_bar
from headstart.data.dataset import Dataset
from headstart.recipes import recipe as recipes
from headstart.runs.folder import RunFolder
from headstart.runs.training_images import read_trained_on
from headstart.studies.defaults import default_fractions
from headstart.studies.plan import Plan
from headstart.studies.request import make_plan
from headstart.studies.runner import StudyRunner
from headstart.studies.time_estimate import estimate
from headstart.studies.time_left import TimeLeft

pytestmark = pytest.mark.slow

Masked = Callable[..., recipes.Recipe]
BYOL = {
    "data.image_size": 48,
    "augment.sizes": [32],
    "train.epochs": 1,
    "train.batch_size": 6,
    "byol.hidden_dim": 16,
    "byol.projection_dim": 8,
}


@pytest.fixture(scope="module")
def plan(
    small_tiles: Path, trained: tuple[Path, Path], masked: Masked, tmp_path_factory: pytest.TempPathFactory
) -> Plan:
    """Settings A, D and E; the "supervised" weights are those of a classifier of clothes."""
    return Plan(
        data=str(small_tiles),
        out=tmp_path_factory.mktemp("masks") / "study",
        recipe=masked(data__image_size=32, train__batch_size=4, backbone__weights=str(trained[0])),
        pretraining=recipes.load("byol-tiles", BYOL),
        settings="ADE",
        fractions=(0.5, 1.0),
        seeds=(0,),
    )


@pytest.fixture(scope="module")
def carried_out(plan: Plan) -> StudyRunner:
    runner = StudyRunner(plan)
    for _ in runner.run():
        pass
    return runner


def classes_of(small_tiles: Path, split: str) -> np.ndarray:
    """Pixels of each class, read by Pillow."""
    with (small_tiles / "class_dict.csv").open(encoding="utf-8") as table:
        colors = [[int(row[c]) for c in "rgb"] for row in csv.DictReader(table)]
    masks = np.stack([np.asarray(Image.open(file)) for file in (small_tiles / split).glob("*_mask.png")])
    return np.array([(masks == color).all(axis=-1).sum() for color in colors])


def test_every_trial_is_judged_by_the_mean_iou_of_its_last_epoch(carried_out: StudyRunner) -> None:
    plan, study = carried_out.plan, carried_out.study
    assert [trial.error for trial in study.trials] == [None] * 6
    assert (study.metric, study.images, study.classes) == ("miou", 6, 6)
    for trial in study.trials:
        run = RunFolder.open(plan.trial_folder(trial.setting, trial.fraction, trial.seed))
        last = [row for row in run.metrics if row["split"] == "val"][-1]
        assert trial.scores is not None
        assert trial.scores.mean() == pytest.approx(last["miou"], abs=1e-6)
        assert run.recipe.backbone.freeze == (trial.setting != "A")
        assert trial.labels == 12 * trial.fraction
        assert not (run.path / "masks").exists(), "a study shows no pictures of its trials"
        assert trial.images_seen == 2 * 12
        assert (trial.ece, trial.knn, trial.optimism) == (None, None, None)
        assert trial.chosen == {"lr": carried_out.learning_rates[trial.setting, 1.0]}


def test_a_finished_trial_is_printed_with_its_mean_iou(carried_out: StudyRunner) -> None:
    said, trial = io.StringIO(), carried_out.study.trials[-1]
    with study_bar(Console(file=said), carried_out, TimeLeft({})) as show:
        show(carried_out.study)
    assert trial.scores is not None
    assert f"mean IoU {trial.scores.mean():.2%}" in said.getvalue()


def test_decoders_have_their_learning_rate_chosen_on_training_images_alone(carried_out: StudyRunner) -> None:
    plan = carried_out.plan
    assert carried_out.learning_rates.keys() == {(setting, 1.0) for setting in "ADE"}
    for setting in "ADE":
        assert carried_out.learning_rates[setting, 1.0] in carried_out.jobs.tried((setting, 1.0))
        for folder, recipe in plan.tunings(setting).values():
            run = RunFolder.open(folder)
            assert recipe.data.validate_on == "train"
            assert run.data["images"] == {"train": 10, "val": 2}


def test_guessing_is_painting_everything_with_the_commonest_class(carried_out: StudyRunner, small_tiles: Path) -> None:
    counts = classes_of(small_tiles, "val")
    expected = counts.max() / counts.sum() / (counts > 0).sum()
    assert carried_out.study.majority_baseline == pytest.approx(expected)


def test_table_file_and_page_are_of_mean_iou(carried_out: StudyRunner) -> None:
    out = carried_out.plan.out
    table = pd.read_csv(out / "table.csv")
    assert table["miou"].between(0, 1).all()
    assert not {"accuracy", "ece", "knn"} & set(table.columns)
    assert read_study(out / "study.json").to_json() == carried_out.study.to_json()
    assert "Mean IoU over labels" in (out / "report.html").read_text(encoding="utf-8")


def test_byol_learns_from_the_tiles_and_not_from_those_that_judge(carried_out: StudyRunner, small_tiles: Path) -> None:
    pretrained = RunFolder.open(carried_out.plan.folder("self-supervised"))
    trial = RunFolder.open(carried_out.plan.trial_folder("E", 1.0, 0))
    assert pretrained.recipe.task == "byol"
    assert trial.environment["weights"]["file"].startswith(str(pretrained.path))
    content = {
        split: {
            blake2b(file.read_bytes(), digest_size=16).hexdigest() for file in (small_tiles / split).glob("*_sat.jpg")
        }
        for split in ("train", "val")
    }
    assert read_trained_on(pretrained)
    assert read_trained_on(pretrained) <= content["train"]


def test_a_study_of_masks_that_was_stopped_goes_on(carried_out: StudyRunner) -> None:
    again = StudyRunner(carried_out.plan)
    assert again.study.to_json() == carried_out.study.to_json()


def test_an_estimate_knows_decoders(plan: Plan, tmp_path: Path) -> None:
    fresh = replace(plan, out=tmp_path / "study")
    seconds = estimate(fresh, Dataset(fresh.data))
    tuned = {recipe.name for setting in "ADE" for _, recipe in fresh.tunings(setting).values()}
    assert set(seconds) == tuned | {f"{s}-{f:g}-seed0" for s in "ADE" for f in (0.5, 1.0)} | {
        "self-supervised-pretraining"
    }
    assert all(value > 0 for value in seconds.values())


def test_the_default_recipes_are_those_for_masks(small_tiles: Path, photos: Path) -> None:
    requested = make_plan(small_tiles, settings="ABC", seeds=2, overrides={"data.image_size": 32})
    assert (requested.recipe.name, requested.pretraining.name) == ("segment-quick", "byol-tiles")
    assert requested.recipe.data.image_size == 32
    assert requested.fractions == default_fractions(Dataset(small_tiles), requested.recipe) == (0.25, 0.5, 1.0)
    other = make_plan(photos, settings="A", seeds=1)
    assert (other.recipe.name, other.pretraining.name) == ("quick", "emp-ssl-quick")


def test_a_corpus_of_classes_or_of_masks_trains_the_backbone(plan: Plan, small_tiles: Path, photos: Path) -> None:
    of_classes, data = replace(plan, corpus=str(photos)).pretrain("supervised")
    assert (of_classes.task, of_classes.data.resize, data) == ("classify", "squash", str(photos))
    of_masks, _ = replace(plan, corpus=str(small_tiles), corpus_target="mask").pretrain("supervised")
    for folder, target in ((photos, "label"), (small_tiles, "mask")):
        assert make_plan(small_tiles, corpus=folder, labels=[1.0]).corpus_target == target
    assert (of_masks.task, of_masks.data.resize) == ("segment", "keep")
    for recipe in (of_classes, of_masks):
        assert (recipe.backbone.name, recipe.backbone.weights) == ("test_resnet", "none")
        assert (recipe.augment.mean, recipe.data.exclude_overlap_with) == (plan.recipe.augment.mean, str(small_tiles))


def test_folders_that_do_not_fit_the_recipe_are_refused(plan: Plan, photos: Path, tmp_path: Path) -> None:
    fresh = replace(plan, out=tmp_path / "study")
    with pytest.raises(hs.HeadstartError, match="expected images with masks"):
        StudyRunner(replace(fresh, data=str(photos)))
    with pytest.raises(hs.HeadstartError, match="expected a class for every image, found masks"):
        StudyRunner(replace(fresh, recipe=recipes.load("quick")))
