"""BYOL, Bootstrap your own latent (Grill et al. 2020, arXiv 2006.07733): features learned without labels.

An online network predicts, from one view of an image, what a target network makes of another view. The target is
the online network's past: a moving average of it, which no gradient reaches.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torchmetrics import MeanMetric, Metric, MetricCollection

from headstart.errors import HeadstartError
from headstart.models.backbones import build, features_of
from headstart.models.heads import make_mlp
from headstart.models.weights import Provenance
from headstart.recipes import recipe as recipes
from headstart.recipes.recipe import Recipe
from headstart.tasks.task import Batch, ModelOutput, Task


class Byol(Task):
    """Backbone, projector and predictor, and the target's backbone and projector.

    Batch normalization is as in the paper's own code: either view is a batch with its own statistics, in both
    networks, and the target's running statistics are its own, from its own passes; only parameters are averaged.
    (byol-pytorch did the same up to 0.7.1, and has put both views into one batch since, which is another loss.)
    """

    num_views = 2
    target = "none"
    classes = 0

    def __init__(self, backbone: nn.Module, settings: recipes.Byol) -> None:
        super().__init__()
        self.settings = settings
        self.features = features_of(backbone)
        self.backbone = backbone
        self.projector = make_mlp(self.features, settings.hidden_dim, settings.projection_dim)
        self.predictor = make_mlp(settings.projection_dim, settings.hidden_dim, settings.projection_dim)
        self.target_backbone = copy.deepcopy(self.backbone).requires_grad_(False)
        self.target_projector = copy.deepcopy(self.projector).requires_grad_(False)
        self.training_metrics = MetricCollection({"loss": _mean()})
        self.training_metrics.persistent(True)  # a run stopped within an epoch goes on counting where it was
        self.metrics = MetricCollection(
            {
                "loss": _mean(),
                "feature_std": FeatureStd(settings.projection_dim),
                "view_similarity": ViewSimilarity(self.features),
            },
            compute_groups=False,
        )

    @classmethod
    def build(cls, recipe: Recipe, classes: Sequence[str]) -> Self:  # noqa: ARG003 (it has no use for them)
        if recipe.backbone.freeze:
            raise HeadstartError(
                "backbone.freeze: expected false for the task byol, which trains the backbone, found true",
                "backbone.freeze=false",
            )
        return cls(build(recipe.backbone.name), recipe.byol)

    def load_backbone(self, settings: recipes.Backbone) -> Provenance:
        provenance = super().load_backbone(settings)
        self.target_backbone.load_state_dict(self.backbone.state_dict())  # the target begins as the online network
        return provenance

    def forward(self, batch: Batch) -> Tensor:
        losses, _ = self._compare(batch)
        with torch.no_grad():
            self.training_metrics["loss"].update(losses)
        return losses.mean()

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        return (self.backbone(images),)

    def infer(self, batch: Batch) -> ModelOutput:
        return _output(self.backbone(batch.images))

    def evaluate(self, batch: Batch) -> ModelOutput:
        losses, (features, other, projection) = self._compare(batch)
        self.metrics["loss"].update(losses)
        self.metrics["feature_std"].update(projection)
        self.metrics["view_similarity"].update(features, other)
        return _output(features)

    def after_step(self, progress: float) -> None:
        """The target takes a step of 1 - tau towards the online network, parameter by parameter."""
        follow = get_ema_multi_avg_fn(ema_decay(self.settings, progress))  # type: ignore[no-untyped-call]
        for target, online in ((self.target_backbone, self.backbone), (self.target_projector, self.projector)):
            follow(list(target.parameters()), list(online.parameters()), None)

    def _compare(self, batch: Batch) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
        """The loss of each image (B,), 0 to 8; the features of both views, and the projection of the first.

        Paper, equation 2: 2 - 2 cos of prediction and target, for either view, added up.
        """
        one, two = batch.images, batch.images2
        assert two is not None, "the loop gives two views to a task that asks for them"
        features, other = self.backbone(one), self.backbone(two)
        projection = self.projector(features)
        predicted, predicted_too = self.predictor(projection), self.predictor(self.projector(other))
        with torch.no_grad():
            aim, aim_too = (self.target_projector(self.target_backbone(view)) for view in (one, two))
        losses = 4 - 2 * (_cosine(predicted, aim_too) + _cosine(predicted_too, aim))
        return losses, (features, other, projection)


def ema_decay(settings: recipes.Byol, progress: float) -> float:
    """tau at a moment of the training, 0 to 1: 1 - (1 - tau_0) (cos(pi progress) + 1) / 2 (paper, section 3.3)."""
    if settings.decay_schedule == "constant":
        return settings.ema_decay
    return 1 - (1 - settings.ema_decay) * (math.cos(math.pi * progress) + 1) / 2


def _cosine(one: Tensor, other: Tensor) -> Tensor:
    return (F.normalize(one.float(), dim=1) * F.normalize(other.float(), dim=1)).sum(dim=1)


def _output(features: Tensor) -> ModelOutput:
    return ModelOutput(features.float(), features.new_zeros(len(features), 0, dtype=torch.float32))


def _mean() -> MeanMetric:
    # A loss that is not a number must show. So set, MeanMetric forgets its weights: it is given a loss per image.
    return MeanMetric(nan_strategy="disable")


class FeatureStd(Metric):
    """How far images lie apart: near 1 when they fill all directions, 0 when all are one point.

    The standard deviation of the L2-normalized output, averaged over its D dimensions, times sqrt(D): what Chen and
    He (2021, section 4.1) look at to see a collapse. Of projections, whose last layer has no ReLU, as they do it.
    """

    full_state_update = False
    count: Tensor
    total: Tensor
    squares: Tensor

    def __init__(self, width: int, **settings: Any) -> None:
        super().__init__(**settings)
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        for name in ("total", "squares"):
            self.add_state(name, torch.zeros(width, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, outputs: Tensor) -> None:
        """float (B, D)"""
        unit = F.normalize(outputs.double(), dim=1)
        self.count += len(unit)
        self.total += unit.sum(dim=0)
        self.squares += unit.square().sum(dim=0)

    def compute(self) -> Tensor:
        variance = self.squares / self.count - (self.total / self.count).square()
        return variance.clamp_min(0).sqrt().mean() * math.sqrt(len(self.total))


class ViewSimilarity(Metric):
    """How much more alike two views of an image are than views of two images: 1 when nothing tells them apart.

    (s - o) / (1 - o), where s is the mean cosine of the features of two views of the same image, and o that of two
    views of different images. Unlike s alone it is near 1 only where the views are too: features of a ReLU network
    all point much the same way (o is about 0.9 before any training), whatever the images.
    """

    full_state_update = False
    count: Tensor
    same: Tensor
    one: Tensor
    other: Tensor

    def __init__(self, width: int, **settings: Any) -> None:
        super().__init__(**settings)
        for name in ("count", "same"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        for name in ("one", "other"):
            self.add_state(name, torch.zeros(width, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, features: Tensor, others: Tensor) -> None:
        """float (B, F): the features of two views of B images."""
        one, other = F.normalize(features.double(), dim=1), F.normalize(others.double(), dim=1)
        self.count += len(one)
        self.same += (one * other).sum()
        self.one += one.sum(dim=0)
        self.other += other.sum(dim=0)

    def compute(self) -> Tensor:
        same = self.same / self.count
        different = (self.one @ self.other - self.same) / (self.count * (self.count - 1)).clamp_min(1)
        return (same - different) / (1 - different).clamp_min(1e-12)
