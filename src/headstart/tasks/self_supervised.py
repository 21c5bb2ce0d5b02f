"""Self-supervised learning: what the methods that compare views of an image share.

A backbone and a projector, no labels, and the same metrics for all: the loss, and those of collapse. A method is a file
with a subclass: its loss, and whatever networks it has beside these two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection

from headstart.errors import HeadstartError
from headstart.models.backbones import features_of
from headstart.recipes.recipe import Recipe
from headstart.tasks.collapse_metrics import FeatureStd, ViewSimilarity, feature_std
from headstart.tasks.task import Batch, ModelOutput, Task, mean_loss

Projections = Sequence[Tensor]
"""Of each view, float (B, P)."""


class SelfSupervised(Task):
    """Backbone and projector, and the metrics of every method. A subclass adds `forward` and `evaluate`."""

    num_views = 2
    target = "none"
    classes = 0

    def __init__(self, backbone: nn.Module, projector: nn.Sequential, projection_dim: int, loss: Metric) -> None:
        """``loss`` is the metric of the validation loss; ``projector`` gives float (B, ``projection_dim``)."""
        super().__init__()
        self.features = features_of(backbone)
        self.backbone = backbone
        self.projector = projector
        self.training_metrics = MetricCollection(
            {"loss": mean_loss(), "feature_std": mean_loss()}, compute_groups=False
        )
        self.training_metrics.persistent(True)  # in the checkpoint of a run that is stopped within an epoch
        self.metrics = MetricCollection(
            {"loss": loss, "feature_std": FeatureStd(projection_dim), "view_similarity": ViewSimilarity(self.features)},
            compute_groups=False,
        )

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        return (self.backbone(images),)

    def infer(self, batch: Batch) -> ModelOutput:
        return output_of(self.backbone(batch.images))

    def project(self, views: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Features (B, F) and projections (B, P) of each view. Each is a batch of its own for batch normalization."""
        features = [self.backbone(view) for view in views]
        return features, [self.projector(each) for each in features]

    @torch.no_grad()
    def count(self, losses: Tensor, projections: Tensor) -> None:
        """Update the training metrics with the loss of each of B images, (B,), and projections of one view, (B, P)."""
        self.training_metrics["loss"].update(losses)
        self.training_metrics["feature_std"].update(feature_std(projections).expand(len(projections)))

    def count_views(self, features: Sequence[Tensor], projections: Tensor) -> ModelOutput:
        """Update the collapse metrics with both views' features and the first one's projections; the first's output."""
        first, second = features
        self.metrics["feature_std"].update(projections)
        self.metrics["view_similarity"].update(first, second)
        return output_of(first)


class LossOfSplit(Metric):
    """A loss of all images of a split together, from the projections of both their views.

    For losses of the statistics of a batch: per batch they would depend on `val.batch_size`.
    """

    full_state_update = False
    first: list[Tensor]
    second: list[Tensor]

    def __init__(self, loss: Callable[[Projections], Tensor], **config: Any) -> None:
        """``loss`` maps the projections of two views to a scalar."""
        super().__init__(**config)
        self.loss = loss
        for name in ("first", "second"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, first: Tensor, second: Tensor) -> None:
        """float (B, P): the projections of two views of B images."""
        self.first.append(first.float())
        self.second.append(second.float())

    def compute(self) -> Tensor:
        return self.loss([torch.cat(list(self.first)), torch.cat(list(self.second))])


def refuse_frozen(recipe: Recipe) -> None:
    """Raise HeadstartError for a recipe whose backbone is frozen, or a part of it: pre-training trains it."""
    if recipe.backbone.freeze_stages:
        raise HeadstartError(
            f"backbone.freeze_stages: expected 0 for the task {recipe.task}, which trains the backbone, found"
            f" {recipe.backbone.freeze_stages}",
            "backbone.freeze_stages=0",
        )
    for name, frozen in (("freeze", recipe.backbone.freeze), ("freeze_batchnorm", recipe.backbone.freeze_batchnorm)):
        if frozen:
            raise HeadstartError(
                f"backbone.{name}: expected false for the task {recipe.task}, which trains the backbone, found true",
                f"backbone.{name}=false",
            )


def views_of(batch: Batch) -> tuple[Tensor, ...]:
    """All views of a batch, each float32 (B, 3, S, S)."""
    assert batch.other_views, "the loop gives as many views as a task's num_views"
    return (batch.images, *batch.other_views)


def output_of(features: Tensor) -> ModelOutput:
    """The output of a task without classes."""
    return ModelOutput(features.float(), features.new_zeros(len(features), 0, dtype=torch.float32))
