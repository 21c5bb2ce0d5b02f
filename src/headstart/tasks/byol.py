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

from headstart.models.backbones import build, features_of
from headstart.models.heads import make_mlp
from headstart.models.weights import Provenance
from headstart.recipes import recipe as recipes
from headstart.recipes.recipe import Recipe
from headstart.tasks.self_supervised import SelfSupervised, refuse_frozen, views_of
from headstart.tasks.task import Batch, ModelOutput, mean_loss


class Byol(SelfSupervised):
    """Backbone, projector and predictor, and the target's backbone and projector.

    Batch normalization is as in the paper's own code: either view is a batch with its own statistics, in both
    networks, and the target's running statistics are its own, from its own passes; only parameters are averaged.
    (byol-pytorch did the same up to 0.7.1; since then both views are one batch, which is another loss.)
    """

    def __init__(self, backbone: nn.Module, config: recipes.Byol) -> None:
        projector = make_mlp(features_of(backbone), config.hidden_dim, config.projection_dim)
        super().__init__(backbone, projector, config.projection_dim, mean_loss())
        self.config = config
        self.predictor = make_mlp(config.projection_dim, config.hidden_dim, config.projection_dim)
        self.target_backbone = copy.deepcopy(self.backbone).requires_grad_(False)
        self.target_projector = copy.deepcopy(self.projector).requires_grad_(False)

    @classmethod
    def build(cls, recipe: Recipe, classes: Sequence[str]) -> Self:  # noqa: ARG003
        refuse_frozen(recipe)
        return cls(build(recipe.backbone.name), recipe.byol)

    def load_backbone(self, config: recipes.Backbone) -> Provenance:
        provenance = super().load_backbone(config)
        self.target_backbone.load_state_dict(self.backbone.state_dict())  # equal at the start
        return provenance

    def forward(self, batch: Batch) -> Tensor:
        losses, _, (projection, _) = self._compare(batch)
        self.count(losses, projection)
        return losses.mean()

    def evaluate(self, batch: Batch) -> ModelOutput:
        losses, features, (projection, _) = self._compare(batch)
        self.metrics["loss"].update(losses)
        return self.count_views(features, projection)

    def after_step(self, progress: float) -> None:
        """EMA update of the target network: tau times its parameters plus 1 - tau times the online ones."""
        update = get_ema_multi_avg_fn(ema_decay(self.config, progress))  # type: ignore[no-untyped-call]
        for target, online in ((self.target_backbone, self.backbone), (self.target_projector, self.projector)):
            update(list(target.parameters()), list(online.parameters()), None)

    def _compare(self, batch: Batch) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Loss of each image, (B,), 0 to 8; features (B, F) and projections (B, P) of both views.

        Paper, equation 2: 2 - 2 cos(prediction of one view, target projection of the other), summed over both views.
        """
        views = views_of(batch)
        features, projections = self.project(views)
        prediction, prediction2 = (self.predictor(each) for each in projections)
        with torch.no_grad():
            target, target2 = (self.target_projector(self.target_backbone(view)) for view in views)
        losses = 4 - 2 * (_cosine(prediction, target2) + _cosine(prediction2, target))
        return losses, features, projections


def ema_decay(config: recipes.Byol, progress: float) -> float:
    """EMA decay tau at ``progress``, 0 to 1, of the training (paper, section 3.3).

    With the cosine schedule 1 - (1 - tau_0) (cos(pi progress) + 1) / 2.
    """
    if config.decay_schedule == "constant":
        return config.ema_decay
    return 1 - (1 - config.ema_decay) * (math.cos(math.pi * progress) + 1) / 2


def _cosine(one: Tensor, other: Tensor) -> Tensor:
    return (F.normalize(one.float(), dim=1) * F.normalize(other.float(), dim=1)).sum(dim=1)
