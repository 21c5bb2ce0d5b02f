"""EMP-SSL's loss against lightly's two terms and the formulas, and the crops that it is given."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

import headstart as hs
from headstart.recipes import recipe as recipes
from headstart.tasks import Batch
from headstart.tasks.emp_ssl import EmpSsl, emp_ssl_loss
from headstart.training.batches import training_batch
from headstart.training.setup import start
from headstart.training.validate import validate

Small = Callable[..., recipes.Recipe]
CONFIGS = [recipes.EmpSsl(), recipes.EmpSsl(invariance=20.0, epsilon=0.5)]


@pytest.fixture(params=[10, 50])
def projections(request: pytest.FixtureRequest) -> list[Tensor]:
    """Of five crops of fewer images than dimensions (24), and of more."""
    generator = torch.Generator().manual_seed(0)
    common = torch.randn(request.param, 24, generator=generator)
    return [common + 0.5 * torch.randn(common.shape, generator=generator) for _ in range(5)]


def by_the_paper(crops: list[NDArray[Any]], config: recipes.EmpSsl) -> float:
    """Coding rate and similarity in NumPy, with the determinant of the authors' code: of a matrix P x P."""
    unit = [z / np.linalg.norm(z, axis=1, keepdims=True) for z in crops]
    mean = sum(unit[1:], unit[0]) / len(unit)
    rate, similarity = 0.0, 0.0
    for z in unit:
        count, width = z.shape
        rate += np.linalg.slogdet(np.eye(width) + width / (count * config.epsilon) * z.T @ z)[1] / 2 / len(unit)
        similarity += ((z * mean).sum(axis=1) / np.linalg.norm(mean, axis=1)).mean() / len(unit)
    return float(-rate - config.invariance * similarity)


@pytest.mark.parametrize("config", CONFIGS)
def test_the_loss_is_the_paper_s_formula(projections: list[Tensor], config: recipes.EmpSsl) -> None:
    expected = by_the_paper([each.double().numpy() for each in projections], config)
    assert float(emp_ssl_loss(config, projections)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("config", CONFIGS)
def test_its_two_terms_and_their_gradients_are_lightly_s(projections: list[Tensor], config: recipes.EmpSsl) -> None:
    """Not their sum: lightly 1.6 adds the coding rate, which it so minimizes; paper and authors' code subtract it."""
    theirs = pytest.importorskip("lightly.loss.emp_ssl_loss", reason="lightly is not here: make setup installs it")
    ours, others = ([each.clone().requires_grad_() for each in projections] for _ in range(2))
    unit = F.normalize(torch.stack(others), dim=2)
    other = config.invariance * theirs.invariance_loss(unit) - theirs.tcr_loss(unit, config.epsilon)
    loss = emp_ssl_loss(config, ours)
    torch.testing.assert_close(loss, other, rtol=1e-5, atol=1e-5)
    torch.autograd.backward(loss)
    other.backward()
    for mine, their in zip(ours, others, strict=True):
        torch.testing.assert_close(mine.grad, their.grad, rtol=1e-4, atol=1e-5)


def test_a_collapse_costs_coding_rate() -> None:
    """Equal outputs have the lowest coding rate there is, and so the highest loss of equal similarity."""
    spread = torch.eye(16)
    equal = spread[:1].expand(16, 16)
    assert emp_ssl_loss(CONFIGS[0], [spread] * 3) < emp_ssl_loss(CONFIGS[0], [equal] * 3) - 5


def test_a_training_step_is_the_loss_of_all_its_crops(unlabeled: Small) -> None:
    torch.manual_seed(0)
    task = EmpSsl.build(unlabeled(task="emp_ssl", emp_ssl__crops=4), [])
    assert task.num_views == 4
    crops = torch.randn(4, 12, 3, 32, 32)
    task.eval()
    with torch.inference_mode():
        projections = [task.projector(task.backbone(crop)).double().numpy() for crop in crops]
        loss = task(Batch(crops[0], torch.full((12,), -1), tuple(crops[1:])))
    assert float(loss) == pytest.approx(by_the_paper(projections, task.config), rel=1e-5)


def test_crops_are_small_parts_and_validation_shows_whole_images(
    photos: Path, tmp_path: Path, unlabeled: Small
) -> None:
    recipe = unlabeled(task="emp_ssl", data__image_size=64, augment__sizes=[32], emp_ssl__crops=5)
    training = start(recipe, str(photos), tmp_path / "run")
    batch = training_batch(training, 0, 0, training.epoch_rows(0)[:12])
    views = (batch.images, *batch.other_views)
    assert [view.shape for view in views] == [(12, 3, 32, 32)] * 5
    assert all(not torch.equal(one, other) for one, other in itertools.pairwise(views))
    sides: list[int] = []
    training.task.backbone.register_forward_hook(lambda _, given, __: sides.append(given[0].shape[-1]))
    validate(training, "val")
    assert sides == [64, 32], "the whole image, and a crop of it at the same scale"


def test_a_frozen_backbone_is_refused(unlabeled: Small) -> None:
    with pytest.raises(hs.HeadstartError, match=r"backbone\.freeze: expected false for the task emp_ssl"):
        EmpSsl.build(unlabeled(task="emp_ssl", backbone__freeze=True), [])
