"""VICReg's loss against lightly's and the paper's formulas, and its whole-split validation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import headstart as hs
from headstart.recipes import recipe as recipes
from headstart.tasks import Batch
from headstart.tasks.vicreg import VicReg, vicreg_loss

Small = Callable[..., recipes.Recipe]
CONFIGS = [recipes.VicReg(), recipes.VicReg(invariance=10.0, variance=5.0, covariance=2.0)]


@pytest.fixture(params=["alike", "collapsed", "wide"])
def projections(request: pytest.FixtureRequest) -> tuple[Tensor, Tensor]:
    """Of two views of 24 images, 40 wide: with much in common, nearly equal for all images, of great variance."""
    generator = torch.Generator().manual_seed(0)
    common, one, two = (torch.randn(24, 40, generator=generator) for _ in range(3))
    scale, noise = {"alike": (0.5, 0.3), "collapsed": (1e-3, 1e-4), "wide": (3.0, 1.0)}[request.param]
    return 2 + scale * common + noise * one, 2 + scale * common + noise * two


def by_the_paper(first: NDArray[Any], second: NDArray[Any], config: recipes.VicReg) -> float:
    """Equations 1 to 6, in NumPy; the variance terms are averaged, as in the authors' code."""
    count, width = first.shape
    variance, covariance = 0.0, 0.0
    for z in (first, second):
        c = np.cov(z, rowvar=False)
        variance += np.maximum(0, 1 - np.sqrt(np.diag(c) + 1e-4)).mean() / 2
        covariance += (c[~np.eye(width, dtype=bool)] ** 2).sum() / width
    invariance = ((first - second) ** 2).sum() / (count * width)
    return float(config.invariance * invariance + config.variance * variance + config.covariance * covariance)


@pytest.mark.parametrize("config", CONFIGS)
def test_the_loss_is_the_paper_s_formula(projections: tuple[Tensor, Tensor], config: recipes.VicReg) -> None:
    first, second = projections
    expected = by_the_paper(first.double().numpy(), second.double().numpy(), config)
    assert float(vicreg_loss(first, second, config)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("config", CONFIGS)
def test_the_loss_and_its_gradients_are_lightly_s(projections: tuple[Tensor, Tensor], config: recipes.VicReg) -> None:
    losses = pytest.importorskip("lightly.loss", reason="lightly is not here: make setup installs it")
    theirs = losses.VICRegLoss(config.invariance, config.variance, config.covariance)
    ours, others = ([each.clone().requires_grad_() for each in projections] for _ in range(2))
    loss, other = vicreg_loss(ours[0], ours[1], config), theirs(*others)
    torch.testing.assert_close(loss, other, rtol=1e-5, atol=1e-5)
    torch.autograd.backward(loss)
    other.backward()
    for mine, their in zip(ours, others, strict=True):
        torch.testing.assert_close(mine.grad, their.grad, rtol=1e-4, atol=1e-6)


def test_in_bfloat16_the_loss_has_the_digits_of_float32(projections: tuple[Tensor, Tensor]) -> None:
    first, second = projections
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(vicreg_loss(first, second, CONFIGS[0]), vicreg_loss(first, second, CONFIGS[0]).float())
        mixed = vicreg_loss(first, second, CONFIGS[0])
    assert torch.equal(mixed, vicreg_loss(first, second, CONFIGS[0]))


def test_a_training_step_is_the_loss_of_its_own_networks(unlabeled: Small) -> None:
    """Each view is a batch of its own in backbone and projector."""
    torch.manual_seed(0)
    task = VicReg.build(unlabeled(task="vicreg"), [])
    views = torch.randn(2, 12, 3, 32, 32)
    task.eval()
    with torch.inference_mode():
        first, second = (task.projector(task.backbone(view)) for view in views)
        loss = task(Batch(views[0], torch.full((12,), -1), (views[1],)))
    expected = by_the_paper(first.double().numpy(), second.double().numpy(), task.config)
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    widths = [(part.in_features, part.out_features) for part in task.projector if isinstance(part, nn.Linear)]
    assert widths == [(task.features, 32), (32, 32), (32, 32)]


def test_one_validation_image_has_a_loss(unlabeled: Small) -> None:
    """Its variance is none, not nan."""
    task = VicReg.build(unlabeled(task="vicreg"), []).eval()
    with torch.inference_mode():
        task.evaluate(Batch(torch.randn(1, 3, 32, 32), torch.tensor([-1]), (torch.randn(1, 3, 32, 32),)))
    assert torch.isfinite(task.metrics["loss"].compute())


def test_a_frozen_backbone_is_refused(unlabeled: Small) -> None:
    with pytest.raises(hs.HeadstartError, match=r"backbone\.freeze: expected false for the task vicreg"):
        VicReg.build(unlabeled(task="vicreg", backbone__freeze=True), [])
