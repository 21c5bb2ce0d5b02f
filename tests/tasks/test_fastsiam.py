"""FastSiam's loss against lightly's heads and loss, with four views and with two, which is SimSiam."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn

import headstart as hs
from headstart.recipes import recipe as recipes
from headstart.tasks import Batch
from headstart.tasks.fastsiam import FastSiam

Small = Callable[..., recipes.Recipe]


@pytest.mark.parametrize("views", [2, 4])
def test_the_loss_and_its_gradients_are_lightly_s(unlabeled: Small, views: int) -> None:
    """Its documentation's FastSiam with our weights. Its first layers have no bias, which batch norm takes away."""
    without = "lightly is not here: make setup installs it"
    heads = pytest.importorskip("lightly.models.modules", reason=without)
    criterion = pytest.importorskip("lightly.loss", reason=without).NegativeCosineSimilarity()
    torch.manual_seed(0)
    task = FastSiam.build(unlabeled(task="fastsiam", fastsiam__views=views), []).train()
    assert task.num_views == views
    backbone = copy.deepcopy(task.backbone)
    projector = heads.SimSiamProjectionHead(task.features, 32, 32)
    predictor = heads.SimSiamPredictionHead(32, 16, 32)
    for head, own in ((projector, task.projector), (predictor, task.predictor)):
        own_state = own.state_dict()
        head.layers.load_state_dict({name: own_state[name] for name in head.layers.state_dict()})
    given = torch.randn(views, 12, 3, 32, 32)
    loss = task(Batch(given[0], torch.full((12,), -1), tuple(given[1:])))
    pairs = [(z.detach(), predictor(z)) for z in (projector(backbone(view)) for view in given)]
    expected = torch.zeros(())
    for place, (_, prediction) in enumerate(pairs):
        others = torch.stack([z for other, (z, _) in enumerate(pairs) if other != place])
        expected = expected + criterion(prediction, others.mean(dim=0)) / views
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    loss.backward()
    torch.autograd.backward(expected)
    for mine, their in zip(task.backbone.parameters(), backbone.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, their.grad, rtol=1e-3, atol=1e-5)


def test_no_gradient_flows_to_the_targets(unlabeled: Small) -> None:
    """With a predictor that is cut off, none is left."""
    task = FastSiam.build(unlabeled(task="fastsiam"), []).train()
    task.predictor = nn.Sequential(nn.Linear(32, 32), Detached())
    given = torch.randn(3, 12, 3, 32, 32)
    assert not task(Batch(given[0], torch.full((12,), -1), tuple(given[1:]))).requires_grad


class Detached(nn.Module):
    """Passes no gradient on."""

    def forward(self, outputs: torch.Tensor) -> torch.Tensor:
        return outputs.detach()


def test_a_frozen_backbone_is_refused(unlabeled: Small) -> None:
    with pytest.raises(hs.HeadstartError, match=r"backbone\.freeze: expected false for the task fastsiam"):
        FastSiam.build(unlabeled(task="fastsiam", backbone__freeze=True), [])
