"""What pixels cost: cross-entropy or focal loss, weighted by class, and soft Dice. Ignored pixels cost nothing."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from headstart.recipes.recipe import Loss

TARGET_IGNORE_INDEX = -100
"""What torch's own losses leave out."""


class PixelLoss(nn.Module):
    """The training loss of K classes, as a recipe's `loss` says; ``label_smoothing`` is of the cross-entropy."""

    class_weights: Tensor

    def __init__(self, classes: int, settings: Loss, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.settings, self.label_smoothing = settings, label_smoothing
        self.register_buffer("class_weights", torch.ones(classes), persistent=False)  # of the data, not learned

    def balance(self, pixels: Tensor) -> None:
        """Weight each class by the inverse square root of its share of ``pixels``, int64 (K,); 1 on average."""
        some = pixels > 0
        weights = torch.where(some, pixels.clamp_min(1).double().rsqrt(), 0)
        mean = weights.sum() / some.sum().clamp_min(1)
        self.class_weights.copy_(torch.where(some, weights / mean, 1))

    def forward(self, logits: Tensor, masks: Tensor) -> Tensor:
        """float (B, K, H, W), uint8 (B, H, W) of which K and more are ignored -> a scalar; 0 where nothing counts."""
        logits, target = logits.float(), targets(masks, logits.shape[1])
        loss = self._focal(logits, target) if self.settings.name == "focal" else self._cross_entropy(logits, target)
        if self.settings.dice_weight:
            loss = loss + self.settings.dice_weight * dice_loss(logits, target)
        return loss

    def _cross_entropy(self, logits: Tensor, target: Tensor) -> Tensor:
        weights = None if self.settings.class_weights == "equal" else self.class_weights
        total = F.cross_entropy(
            logits,
            target,
            weights,
            ignore_index=TARGET_IGNORE_INDEX,
            reduction="sum",
            label_smoothing=self.label_smoothing,
        )
        return total / self._weight_of(target)

    def _focal(self, logits: Tensor, target: Tensor) -> Tensor:
        """Lin et al. 2017 (arXiv 1708.02002), equation 5, over the pixels that count: -w (1 - p)^gamma log p."""
        losses = F.cross_entropy(logits, target, ignore_index=TARGET_IGNORE_INDEX, reduction="none")
        losses = losses * (1 - torch.exp(-losses)) ** self.settings.focal_gamma
        return (losses * self.class_weights[target.clamp_min(0)]).sum() / self._weight_of(target)

    def _weight_of(self, target: Tensor) -> Tensor:
        """The sum of the weights of all pixels that count: what torch divides by; 1 where none does."""
        counted = target != TARGET_IGNORE_INDEX
        if self.settings.class_weights == "equal":
            return counted.sum().clamp_min(1)
        return (self.class_weights[target.clamp_min(0)] * counted).sum().clamp_min(torch.finfo(torch.float32).tiny)


def targets(masks: Tensor, classes: int) -> Tensor:
    """uint8 (B, H, W) -> int64, with `IGNORED` for the values of ``classes`` and more."""
    return masks.long().masked_fill_(masks >= classes, TARGET_IGNORE_INDEX)


def dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """1 less Dice's coefficient, averaged over the classes that the batch shows; 0 where it shows none.

    Of a class it is 2 sum p g / (sum p^2 + sum g^2) over the batch's pixels, g being 1 where the pixel is of the
    class (Milletari et al. 2016, arXiv 1606.04797, section 3). A class that the batch does not show overlaps with
    nothing, whatever is predicted: it says nothing of the network, and is left out.
    """
    classes = logits.shape[1]
    counted = (target != TARGET_IGNORE_INDEX).unsqueeze(1)
    true = F.one_hot(target.clamp_min(0), classes).movedim(-1, 1) * counted
    p = logits.softmax(dim=1) * counted
    over = (0, *range(2, p.ndim))
    shown = true.sum(dim=over)
    overlap = 2 * (p * true).sum(dim=over) / (p.square().sum(dim=over) + shown).clamp_min(1e-7)
    some = shown > 0
    return ((1 - overlap) * some).sum() / some.sum().clamp_min(1)
