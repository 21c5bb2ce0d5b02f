"""Learning without labels, from a folder of photographs to a classifier, with what goes wrong on the way."""

from __future__ import annotations

import html
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import headstart as hs
from command import headstart
from forked import python
from headstart.data.pixels import decode
from headstart.data.splits import training_index
from headstart.recipes import recipe as recipes
from headstart.runs.folder import RunFolder
from headstart.tasks import task_named
from headstart.training.loop import train
from headstart.training.setup import resume, start
from headstart.transforms.augment import eval_transform
from pages import visible

pytestmark = pytest.mark.slow

Small = Callable[..., recipes.Recipe]
SMALL = ["data.image_size=32", "train.epochs=2", "train.batch_size=12", "backbone.name=test_resnet"]
BYOL = [*SMALL, "byol.hidden_dim=64", "byol.projection_dim=16"]


def finish(run: Path, data: Path, recipe: recipes.Recipe) -> RunFolder:
    for _ in train(start(recipe, str(data), run)):
        pass
    return RunFolder.open(run)


def test_from_photographs_without_labels_to_a_classifier(photos: Path, tmp_path: Path) -> None:
    """Labeled folders may be learned from without their labels, which then tell how good the features are."""
    run, second = tmp_path / "byol", tmp_path / "second"
    done = headstart("fit", "byol-quick", photos, *BYOL, "--out", run)
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"epoch 2/2  train loss \d\.\d{4} feature std 0\.\d{3}"
        r"  val loss \d\.\d{4} feature std 0\.\d{3} view similarity .* kNN ",
        done.stderr,
    )
    scale = '"augment.mean=[0.485,0.456,0.406]" "augment.std=[0.229,0.224,0.225]"'  # not that of quick's weights
    use = f"headstart fit quick LABELED_DATA backbone.name=test_resnet backbone.weights={run} {scale}"
    assert use in done.stdout
    folder = RunFolder.open(run)
    assert [sorted(row) for row in folder.metrics if row["split"] == "val"] == [
        sorted(
            (
                "epoch",
                "split",
                "images",
                "loss",
                "feature_std",
                "view_similarity",
                "knn",
                "purity",
                "seconds",
                "images_per_second",
            )
        )
    ] * 2
    assert not (run / "predictions.csv").exists()
    assert folder.data["images"] == {"train": 48, "val": 12}
    assert hs.Run(run).accuracy is None
    page = visible((run / "report.html").read_text(encoding="utf-8"))
    assert use in html.unescape(page)
    assert "48 train, 12 val" in page
    mapped = headstart("map", run)
    assert mapped.returncode == 0, mapped.stderr
    for words in (("predict", run, photos), ("evaluate", run, photos)):
        refused = headstart(*words)
        assert refused.returncode == 2
        assert "expected a run that predicts classes, found the self-supervised task byol" in refused.stderr
        assert use in refused.stderr
    tuned = headstart("fit", "quick", photos, *SMALL, "augment.sizes=[]", f"backbone.weights={run}", "--out", second)
    assert tuned.returncode == 0, tuned.stderr
    weights = RunFolder.open(second).environment["weights"]
    assert weights["source"] == f"run {run}"
    assert weights["tensors"]["loaded"] == len([k for k in load_file(folder.best) if k.startswith("backbone.")])
    assert (weights["tensors"]["missing"], weights["tensors"]["unexpected"]) == (0, 0)


def test_a_flat_folder_has_no_neighbors_and_a_report(photos: Path, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for file in photos.rglob("*.jpg"):
        shutil.copy(file, flat)
    refused = headstart("fit", "quick", flat, *SMALL, "augment.sizes=[]")
    assert refused.returncode == 2
    assert "headstart fit byol-quick" in refused.stderr
    done = headstart("fit", "byol-quick", flat, *BYOL, "train.precision=bf16-mixed", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    run = RunFolder.open(tmp_path / "run")
    assert run.data["images"] == {"train": 48, "val": 12}
    assert (run.classes, {row["label"] for row in run.feature_images}) == ([], {""})
    assert not any("knn" in row for row in run.metrics)
    assert "48 train, 12 val" in visible((run.path / "report.html").read_text(encoding="utf-8"))
    mapped = headstart("map", run.path)
    assert mapped.returncode == 0, mapped.stderr
    assert '"no label"' in (run.path / "report.html").read_text(encoding="utf-8")


def test_too_few_images_to_learn_from_are_refused(photos: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    for number, file in enumerate(sorted(photos.rglob("*.jpg"))[:2]):
        shutil.copy(file, alone)
        done = headstart("fit", "byol-quick", alone, *BYOL)
        assert done.returncode == 2, number
        assert "expected at least two training images, found 1" in done.stderr


KILLED = """
import os, sys
from pathlib import Path
from headstart.recipes import recipe
from headstart.training.loop import train
from headstart.training.setup import start
training = start(recipe.build(eval(sys.argv[3]), {"checkpoint.every_minutes": 1e-9}), sys.argv[1], Path(sys.argv[2]))
for n, event in enumerate(train(training), 1):
    if n == 7:  # within the second epoch: four steps are an epoch
        os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("task", ["byol", "emp_ssl", "fastsiam", "vicreg"])
def test_killed_and_resumed_it_ends_at_the_same_weights(
    photos: Path, tmp_path: Path, unlabeled: Small, task: str
) -> None:
    """BYOL's target network and its moving average included."""
    recipe = unlabeled(task=task, second_augment={"crop": 0.5, "solarize": 0.5, "interpolation": "bilinear"})
    whole = finish(tmp_path / "whole", photos, recipe)
    killed = python(tmp_path, KILLED, photos, tmp_path / "killed", repr(recipe.model_dump(exclude_none=True)))
    assert killed.returncodes == [-signal.SIGKILL], killed.output
    for _ in train(resume(tmp_path / "killed")):
        pass
    again = RunFolder.open(tmp_path / "killed")
    one, two = load_file(whole.last), load_file(again.last)
    assert any(name.startswith("target_backbone.") for name in one) == (task == "byol")
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert whole.last.read_bytes() == whole.best.read_bytes(), "the last epoch is kept"
    assert [row["loss"] for row in whole.metrics] == [row["loss"] for row in again.metrics]


def test_a_checkpoint_from_before_a_training_metric_was_stored_goes_on(
    photos: Path, tmp_path: Path, unlabeled: Small
) -> None:
    """As an older headstart wrote it. Another tensor that is missing is an error."""
    training = start(unlabeled(), str(photos), tmp_path / "run")
    state = {"task": training.task.state_dict(), "optimizer": training.optimizer.state_dict()}
    older = {name: each for name, each in state["task"].items() if "feature_std" not in name}
    assert len(older) < len(state["task"])
    training.load(training.progress, {**state, "task": older})
    older.pop("projector.0.weight")
    with pytest.raises(RuntimeError, match=r"projector\.0\.weight"):
        training.load(training.progress, {**state, "task": older})


@pytest.mark.parametrize("task", ["byol", "emp_ssl", "fastsiam", "vicreg"])
def test_a_classifier_begins_with_the_features_that_were_learnt_to_the_last_digit(
    photos: Path, tmp_path: Path, unlabeled: Small, small: Small, task: str
) -> None:
    run = finish(tmp_path / "run", photos, unlabeled(task=task, train__epochs=1))
    assert {row["split"]: row["feature_std"] > 0 for row in run.metrics} == {"train": True, "val": True}
    recipe = small(backbone__weights=str(run.path))
    index = training_index(str(photos), recipe.data)
    images = eval_transform(decode(index, recipe.data).batch(list(range(0, 60, 5))), recipe.augment)
    learned = task_named(task).build(run.recipe, [])
    learned.load_weights(load_file(run.best))
    fresh = task_named("classify").build(recipe, index.classes)
    fresh.load_backbone(recipe.backbone)
    with torch.inference_mode():
        assert torch.equal(learned.eval().encode(images)[0], fresh.eval().encode(images)[0])
    with pytest.raises(hs.HeadstartError, match="expected the weights of resnet18"):
        start(small(backbone__name="resnet18", backbone__weights=str(run.path)), str(photos), tmp_path / "other")


def test_views_of_a_step_differ_and_those_of_validation_stay(photos: Path, tmp_path: Path, unlabeled: Small) -> None:
    """What the task is given, step by step and epoch by epoch."""
    training = start(unlabeled(), str(photos), tmp_path / "run")
    trained, validated = [], []
    evaluate = training.task.evaluate
    training.task.register_forward_pre_hook(lambda _, batch: trained.append(batch[0]))
    training.task.evaluate = lambda batch: validated.append(batch) or evaluate(batch)  # type: ignore[method-assign,func-returns-value]
    for _ in train(training):
        pass
    assert len(trained) == 8
    for batch in (*trained, *validated):
        (other,) = batch.other_views
        assert other.shape == batch.images.shape
        assert not torch.equal(other, batch.images)
    first, second = validated
    assert torch.equal(first.other_views[0], second.other_views[0])
    assert torch.equal(first.images, second.images)
