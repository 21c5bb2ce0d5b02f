"""FastSiam (Pototzky, Sultan and Schmidt-Thieme 2022, doi 10.1007/978-3-031-16788-1_4): features without labels.

SimSiam (Chen and He 2021, arXiv 2011.10566) with several views as the target: from each view of an image, a predictor
predicts the mean projection of the others, to which no gradient flows. The mean is steadier than one view's projection,
so that small batches suffice. No second network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from headstart.models.backbones import build, features_of
from headstart.models.heads import make_mlp, make_projector
from headstart.recipes import recipe as recipes
from headstart.recipes.recipe import Recipe
from headstart.tasks.self_supervised import SelfSupervised, refuse_frozen, views_of
from headstart.tasks.task import Batch, ModelOutput, mean_loss


class FastSiam(SelfSupervised):
    """Backbone, and SimSiam's projector and predictor. Each view is a batch of its own for batch normalization."""

    def __init__(self, backbone: nn.Module, config: recipes.FastSiam) -> None:
        width = config.projection_dim
        projector = make_projector(features_of(backbone), (width, width), width, bias=False)
        projector.append(nn.BatchNorm1d(width, affine=False))
        super().__init__(backbone, projector, width, mean_loss())
        self.config = config
        self.num_views = config.views
        self.predictor = make_mlp(width, config.hidden_dim, width)

    @classmethod
    def build(cls, recipe: Recipe, classes: Sequence[str]) -> Self:  # noqa: ARG003
        refuse_frozen(recipe)
        return cls(build(recipe.backbone.name), recipe.fastsiam)

    def forward(self, batch: Batch) -> Tensor:
        losses, _, projections = self._compare(batch)
        self.count(losses, projections[0])
        return losses.mean()

    def evaluate(self, batch: Batch) -> ModelOutput:
        losses, features, projections = self._compare(batch)
        self.metrics["loss"].update(losses)
        return self.count_views(features, projections[0])

    def _compare(self, batch: Batch) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Loss of each image, (B,), -1 to 1; features (B, F) and projections (B, P) of all views.

        Minus the cosine of a view's prediction and the mean of the other views' projections, mean over the views.
        """
        features, projections = self.project(views_of(batch))
        targets = torch.stack(projections).detach().float()
        others = (targets.sum(dim=0) - targets) / (len(targets) - 1)
        predictions = torch.stack([self.predictor(each) for each in projections]).float()
        return -F.cosine_similarity(predictions, others, dim=2).mean(dim=0), features, projections
