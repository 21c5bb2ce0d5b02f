"""VICReg (Bardes, Ponce and LeCun 2022, arXiv 2105.04906): features learned without labels.

The projections of two views of an image are pulled together (invariance), while each of their dimensions keeps a
standard deviation of at least one over the batch (variance), and no two are correlated (covariance). No second network,
no moving average, and a batch needs not be large.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from headstart.models.backbones import build, features_of
from headstart.models.heads import make_projector
from headstart.recipes import recipe as recipes
from headstart.recipes.recipe import Recipe
from headstart.tasks.gather import gather
from headstart.tasks.self_supervised import LossOfSplit, Projections, SelfSupervised, refuse_frozen, views_of
from headstart.tasks.task import Batch, ModelOutput

EPSILON = 1e-4
"""Added to the variance under the root (paper, equation 2)."""


class VicReg(SelfSupervised):
    """Backbone and projector (the paper's expander: three linear layers of one width)."""

    def __init__(self, backbone: nn.Module, config: recipes.VicReg) -> None:
        width = config.projection_dim
        projector = make_projector(features_of(backbone), (width, width), width, bias=False)
        loss = LossOfSplit(partial(_of_views, config))
        super().__init__(backbone, projector, width, loss)
        self.config = config

    @classmethod
    def build(cls, recipe: Recipe, classes: Sequence[str]) -> Self:  # noqa: ARG003
        refuse_frozen(recipe)
        return cls(build(recipe.backbone.name), recipe.vicreg)

    def forward(self, batch: Batch) -> Tensor:
        _, (first, second) = self.project(views_of(batch))
        loss = vicreg_loss(gather(first), gather(second), self.config)
        self.count(loss.expand(len(first)), first)
        return loss

    def evaluate(self, batch: Batch) -> ModelOutput:
        features, projections = self.project(views_of(batch))
        self.metrics["loss"].update(*projections)
        return self.count_views(features, projections[0])


def vicreg_loss(first: Tensor, second: Tensor, config: recipes.VicReg) -> Tensor:
    """VICReg's loss of the projections of two views, float (N, P) each, over all N images (paper, equation 6).

    As in the authors' code, of which the variance and covariance terms are the means of both views and their sum.
    """
    with torch.autocast(first.device.type, enabled=False):  # bfloat16 has too few digits for a covariance
        first, second = first.float(), second.float()
        invariance = F.mse_loss(first, second)
        (variance, covariance), (variance2, covariance2) = _spread(first), _spread(second)
    loss: Tensor = config.invariance * invariance + config.variance * (variance + variance2) / 2
    return loss + config.covariance * (covariance + covariance2)


def _spread(projections: Tensor) -> tuple[Tensor, Tensor]:
    """Variance and covariance terms of one view, both over the P dimensions (paper, equations 1 and 4).

    The mean hinge on each dimension's standard deviation, and the sum of the squared covariances, over P.
    """
    centered = projections - projections.mean(dim=0)
    covariance = centered.T @ centered / max(1, len(centered) - 1)
    variance = covariance.diagonal()
    hinge = F.relu(1 - (variance + EPSILON).sqrt()).mean()
    return hinge, (covariance.square().sum() - variance.square().sum()) / projections.shape[1]


def _of_views(config: recipes.VicReg, projections: Projections) -> Tensor:
    first, second = projections
    return vicreg_loss(first, second, config)
