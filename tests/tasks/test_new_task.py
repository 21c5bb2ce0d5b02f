"""A new task is one file and a line in `TASKS`: rotation prediction, written here alone, trained by the real loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MetricCollection

import headstart as hs
from headstart.models.backbones import build, features_of
from headstart.recipes import recipe as recipes
from headstart.recipes.recipe import Recipe
from headstart.runs.features import read_features
from headstart.tasks import TASKS, Batch, ModelOutput, Task
from headstart.tasks.task import mean_loss
from headstart.training.loop import train
from headstart.training.setup import start
from interrupted import stopped_and_resumed

Small = Callable[..., recipes.Recipe]


class Rotation(Task):
    """Gidaris et al. 2018: predict by which multiple of 90 degrees an image was rotated. It needs no labels."""

    target = "none"
    classes = 0

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone, self.features = backbone, features_of(backbone)
        self.head = nn.Linear(self.features, 4)
        self.training_metrics = MetricCollection({"loss": mean_loss()})
        self.metrics = MetricCollection({"loss": mean_loss()})
        self.training_metrics.persistent(True)

    @classmethod
    def build(cls, recipe: Recipe, classes: Sequence[str]) -> Self:
        return cls(build(recipe.backbone.name))

    def forward(self, batch: Batch) -> Tensor:
        losses = self._losses(batch.images)
        with torch.no_grad():
            self.training_metrics["loss"].update(losses)
        return losses.mean()

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        return (self.backbone(images),)

    def infer(self, batch: Batch) -> ModelOutput:
        (features,) = batch.features or self.encode(batch.images)
        return ModelOutput(features.float(), features.new_zeros(len(features), 0))

    def evaluate(self, batch: Batch) -> ModelOutput:
        self.metrics["loss"].update(self._losses(batch.images))
        return self.infer(batch)

    def _losses(self, images: Tensor) -> Tensor:
        """(B,): mean over the four rotations of each image."""
        turns = torch.arange(4, device=images.device).repeat_interleave(len(images))
        rotated = torch.cat([images.rot90(turn, (2, 3)) for turn in range(4)])
        losses = F.cross_entropy(self.head(self.backbone(rotated)), turns, reduction="none")
        return losses.view(4, -1).mean(dim=0)


@pytest.mark.slow
def test_a_new_task_is_trained_stopped_resumed_and_used_without_a_change_elsewhere(
    photos: Path, tmp_path: Path, small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TASKS, "rotation", Rotation)
    recipe = small(task="rotation", train__epochs=2, checkpoint__monitor="val_loss")
    path = tmp_path / "run"
    run = stopped_and_resumed(3, path, photos, recipe).run
    assert run.finished
    validation = [row for row in run.metrics if row["split"] == "val"]
    assert len(validation) == 2
    assert all({"loss", "knn", "purity"} <= row.keys() for row in validation), "no accuracy, but neighbors"
    features = read_features(run)
    assert [each.epoch for each in features.epochs] == [1, 2]
    assert features.epochs[0].features.shape == (len(features.filenames), features_of(build(recipe.backbone.name)))
    assert run.predictions == []
    assert run.architecture is not None
    assert not (path / "masks").exists()
    tuned = start(small(backbone__weights=str(path)), str(photos), tmp_path / "tuned")
    assert tuned.run.environment["weights"]["source"] == f"run {path}"


@pytest.mark.slow
def test_a_metric_that_a_task_does_not_have_is_not_monitored(
    photos: Path, tmp_path: Path, small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TASKS, "rotation", Rotation)
    recipe = small(task="rotation", train__epochs=1, augment__sizes=[], checkpoint__monitor="val_accuracy")
    with pytest.raises(hs.HeadstartError, match=r"checkpoint\.monitor: expected a metric of the task rotation, found"):
        for _ in train(start(recipe, str(photos), tmp_path / "run")):
            pass
