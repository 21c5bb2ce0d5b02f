"""EMP-SSL, extreme multi-patch self-supervised learning (Tong et al. 2023, arXiv 2304.03977): many crops of each image.

The projections of all crops of an image are pulled towards their mean, while the projections of a batch fill as much
space as they can (total coding rate). It learns within few passes over the images, each of which costs as many crops.
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


class EmpSsl(SelfSupervised):
    """Backbone and projector, whose outputs are L2-normalized. All crops of a step are one batch, as in the paper."""

    views_are_parts = True

    def __init__(self, backbone: nn.Module, config: recipes.EmpSsl) -> None:
        projector = make_projector(features_of(backbone), (config.hidden_dim, config.hidden_dim), config.projection_dim)
        super().__init__(backbone, projector, config.projection_dim, LossOfSplit(partial(emp_ssl_loss, config)))
        self.config = config
        self.num_views = config.crops

    @classmethod
    def build(cls, recipe: Recipe, classes: Sequence[str]) -> Self:  # noqa: ARG003
        refuse_frozen(recipe)
        return cls(build(recipe.backbone.name), recipe.emp_ssl)

    def forward(self, batch: Batch) -> Tensor:
        crops = views_of(batch)
        projections = self.projector(self.backbone(torch.cat(crops))).chunk(len(crops))
        loss = emp_ssl_loss(self.config, [gather(each) for each in projections])
        self.count(loss.expand(len(batch.images)), projections[0])
        return loss

    def evaluate(self, batch: Batch) -> ModelOutput:
        features, projections = self.project(views_of(batch))
        self.metrics["loss"].update(*projections)
        return self.count_views(features, projections[0])


def emp_ssl_loss(config: recipes.EmpSsl, projections: Projections) -> Tensor:
    """EMP-SSL's loss, negated so that it is minimized, of the projections of n crops of N images, float (N, P) each.

    Minus the coding rate of a crop's projections, minus `invariance` times the cosine of a projection and the mean of
    its image's (paper, equation 5); means over the crops, and over the images, as in the authors' code.
    """
    with torch.autocast(projections[0].device.type, enabled=False):  # no determinant in bfloat16
        unit = F.normalize(torch.stack([each.float() for each in projections]), dim=2)
        similarity = F.cosine_similarity(unit, unit.mean(dim=0, keepdim=True), dim=2).mean()
        return -coding_rate(unit, config.epsilon).mean() - config.invariance * similarity


def coding_rate(unit: Tensor, epsilon: float) -> Tensor:
    """Coding rate of n sets of N vectors, float (n, N, P) -> (n,): log det(I + P / (N epsilon) Z^T Z) / 2.

    Yu et al. 2020 (arXiv 2006.08558, equation 7) have the square of epsilon there; the authors of EMP-SSL do not. I
    plus Z^T Z and I plus Z Z^T have one determinant: the smaller of the two matrices is taken.
    """
    count, width = unit.shape[1:]
    gram = unit @ unit.mT if count < width else unit.mT @ unit
    matrix = torch.eye(len(gram[0]), device=unit.device) + width / (count * epsilon) * gram
    rates: Tensor = torch.linalg.cholesky(matrix).diagonal(dim1=1, dim2=2).log().sum(dim=1)
    return rates
