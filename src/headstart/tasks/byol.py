"""BYOL, Bootstrap your own latent (Grill et al. 2020, arXiv 2006.07733): features learned without labels.

An online network predicts, from one view of an image, a target network's projection of another view. The target
network is an exponential moving average (EMA) of the online network; no gradient reaches it.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torchmetrics import MetricCollection

from headstart.errors import HeadstartError
from headstart.models.backbones import build, features_of
from headstart.models.heads import make_mlp
from headstart.models.weights import Provenance
from headstart.recipes import recipe as recipes
from headstart.recipes.recipe import Recipe
from headstart.tasks.collapse_metrics import FeatureStd, ViewSimilarity
from headstart.tasks.task import Batch, ModelOutput, Task, mean_loss


class Byol(Task):
    """Backbone, projector and predictor, and the target's backbone and projector.

    Batch normalization is as in the paper's own code: either view is a batch with its own statistics, in both
    networks, and the target's running statistics are its own, from its own passes; only parameters are averaged.
    (byol-pytorch did the same up to 0.7.1; since then both views are one batch, which is another loss.)
    """

    num_views = 2
    target = "none"
    classes = 0

    def __init__(self, backbone: nn.Module, config: recipes.Byol) -> None:
        super().__init__()
        self.config = config
        self.features = features_of(backbone)
        self.backbone = backbone
        self.projector = make_mlp(self.features, config.hidden_dim, config.projection_dim)
        self.predictor = make_mlp(config.projection_dim, config.hidden_dim, config.projection_dim)
        self.target_backbone = copy.deepcopy(self.backbone).requires_grad_(False)
        self.target_projector = copy.deepcopy(self.projector).requires_grad_(False)
        self.training_metrics = MetricCollection({"loss": mean_loss()})
        self.training_metrics.persistent(True)  # in the checkpoint of a run that is stopped within an epoch
        self.metrics = MetricCollection(
            {
                "loss": mean_loss(),
                "feature_std": FeatureStd(config.projection_dim),
                "view_similarity": ViewSimilarity(self.features),
            },
            compute_groups=False,
        )

    @classmethod
    def build(cls, recipe: Recipe, classes: Sequence[str]) -> Self:  # noqa: ARG003
        if recipe.backbone.freeze:
            raise HeadstartError(
                "backbone.freeze: expected false for the task byol, which trains the backbone, found true",
                "backbone.freeze=false",
            )
        return cls(build(recipe.backbone.name), recipe.byol)

    def load_backbone(self, config: recipes.Backbone) -> Provenance:
        provenance = super().load_backbone(config)
        self.target_backbone.load_state_dict(self.backbone.state_dict())  # equal at the start
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
        losses, (features, features2, projection) = self._compare(batch)
        self.metrics["loss"].update(losses)
        self.metrics["feature_std"].update(projection)
        self.metrics["view_similarity"].update(features, features2)
        return _output(features)

    def after_step(self, progress: float) -> None:
        """EMA update of the target network: tau times its parameters plus 1 - tau times the online ones."""
        update = get_ema_multi_avg_fn(ema_decay(self.config, progress))  # type: ignore[no-untyped-call]
        for target, online in ((self.target_backbone, self.backbone), (self.target_projector, self.projector)):
            update(list(target.parameters()), list(online.parameters()), None)

    def _compare(self, batch: Batch) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
        """Loss of each image, (B,), 0 to 8; features of both views, (B, F), and the projection of the first, (B, P).

        Paper, equation 2: 2 - 2 cos(prediction of one view, target projection of the other), summed over both views.
        """
        view, view2 = batch.images, batch.images2
        assert view2 is not None, "the loop gives two views to a task with num_views = 2"
        features, features2 = self.backbone(view), self.backbone(view2)
        projection = self.projector(features)
        prediction, prediction2 = self.predictor(projection), self.predictor(self.projector(features2))
        with torch.no_grad():
            target, target2 = (self.target_projector(self.target_backbone(each)) for each in (view, view2))
        losses = 4 - 2 * (_cosine(prediction, target2) + _cosine(prediction2, target))
        return losses, (features, features2, projection)


def ema_decay(config: recipes.Byol, progress: float) -> float:
    """EMA decay tau at ``progress``, 0 to 1, of the training (paper, section 3.3).

    With the cosine schedule 1 - (1 - tau_0) (cos(pi progress) + 1) / 2.
    """
    if config.decay_schedule == "constant":
        return config.ema_decay
    return 1 - (1 - config.ema_decay) * (math.cos(math.pi * progress) + 1) / 2


def _cosine(one: Tensor, other: Tensor) -> Tensor:
    return (F.normalize(one.float(), dim=1) * F.normalize(other.float(), dim=1)).sum(dim=1)


def _output(features: Tensor) -> ModelOutput:
    return ModelOutput(features.float(), features.new_zeros(len(features), 0, dtype=torch.float32))
