"""The losses of pixels against torch's and torchvision's own and plain formulas; ignored pixels cost nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from headstart.models.losses import PixelLoss, dice_loss, targets
from headstart.recipes.recipe import Loss
from narrow import given

K = 4


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    """Logits, and masks with ignored pixels of two kinds; class 3 is not shown."""
    chance = torch.Generator().manual_seed(0)
    masks = torch.randint(0, 3, (3, 9, 7), generator=chance).to(torch.uint8)
    masks[0, :2], masks[1, :, 3] = 255, K
    return 2 * torch.randn(3, K, 9, 7, generator=chance), masks


def counted(logits: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """The pixels that count, (P, K) and (P,)."""
    return logits.movedim(1, -1)[masks < K], masks[masks < K].long()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_is_torch_s_over_the_pixels_that_count(batch: tuple[Tensor, Tensor], smoothing: float) -> None:
    loss = PixelLoss(K, Loss(), smoothing)(*batch)
    torch.testing.assert_close(loss, F.cross_entropy(*counted(*batch), label_smoothing=smoothing))


def test_balanced_weights_are_inverse_square_roots_of_the_shares(batch: tuple[Tensor, Tensor]) -> None:
    loss = PixelLoss(K, Loss(class_weights="balanced"))
    loss.balance(torch.tensor([900, 100, 2500, 0]))
    weights = loss.class_weights
    torch.testing.assert_close(weights[:3] / weights[1], torch.tensor([10 / 30, 1, 10 / 50]))
    torch.testing.assert_close(weights[:3].mean(), torch.tensor(1.0))
    torch.testing.assert_close(loss(*batch), F.cross_entropy(*counted(*batch), weights))
    assert not loss.state_dict()


def test_focal_loss_is_torchvision_s_where_there_are_two_classes(batch: tuple[Tensor, Tensor]) -> None:
    """Two logits are a sigmoid of their difference."""
    logits, masks = batch[0][:, :2], batch[1]
    some = masks < 2
    expected = sigmoid_focal_loss((logits[:, 1] - logits[:, 0])[some], masks[some].float(), alpha=-1, gamma=1.5)
    torch.testing.assert_close(PixelLoss(2, Loss(name="focal", focal_gamma=1.5))(logits, masks), expected.mean())


def test_focal_loss_without_focus_is_weighted_cross_entropy(batch: tuple[Tensor, Tensor]) -> None:
    focal, plain = (
        PixelLoss(K, Loss(name=name, focal_gamma=0.0, class_weights="balanced")) for name in ("focal", "cross-entropy")
    )
    for loss in (focal, plain):
        loss.balance(torch.tensor([5, 4, 3, 2]))
    torch.testing.assert_close(focal(*batch), plain(*batch))


def test_dice_is_the_paper_s_formula(batch: tuple[Tensor, Tensor]) -> None:
    logits, masks = (each.numpy() for each in batch)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    each = []
    for i in range(3):  # class 3 is not shown
        some, g = p[:, i][masks < K], (masks[masks < K] == i).astype(float)
        each.append(1 - 2 * (some * g).sum() / ((some**2).sum() + (g**2).sum()))
    loss = dice_loss(batch[0], targets(batch[1], K))
    assert float(loss) == pytest.approx(np.mean(each), rel=1e-5)
    both = PixelLoss(K, Loss(dice_weight=0.5))(*batch)
    torch.testing.assert_close(both, PixelLoss(K, Loss())(*batch) + 0.5 * loss)


@pytest.mark.parametrize("name", ["cross-entropy", "focal"])
@pytest.mark.parametrize("weights", ["equal", "balanced"])
def test_ignored_pixels_have_no_gradient_and_no_say(batch: tuple[Tensor, Tensor], name: str, weights: str) -> None:
    logits, masks = batch
    loss = PixelLoss(K, Loss.model_validate({"name": name, "class_weights": weights, "dice_weight": 1.0}))
    logits.requires_grad_()
    loss(logits, masks).backward()
    ignored = (masks >= K).unsqueeze(1).expand_as(logits)
    gradient = given(logits.grad)
    assert not gradient[ignored].any()
    assert gradient[~ignored].all()
    changed = torch.where(ignored, 50.0, logits.detach())
    torch.testing.assert_close(loss(changed, masks), loss(logits.detach(), masks))
    logits.grad = None
    nothing = loss(logits, torch.full_like(masks, 255))
    nothing.backward()
    assert float(nothing.detach()) == 0.0
    assert not given(logits.grad).any()
