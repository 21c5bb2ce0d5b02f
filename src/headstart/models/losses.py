"""Segmentation losses: cross-entropy or focal loss with class weights, and soft Dice. Ignored pixels have no loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from headstart.recipes.recipe import Loss

TARGET_IGNORE_INDEX = -100
"""PyTorch's default ignore index for class indices."""


class PixelLoss(nn.Module):
    """Training loss for K classes by a recipe's `loss`; ``label_smoothing`` applies to the cross-entropy."""

    class_weights: Tensor

    def __init__(self, classes: int, config: Loss, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.config, self.label_smoothing = config, label_smoothing
        self.register_buffer("class_weights", torch.ones(classes), persistent=False)  # from the dataset

    def balance(self, pixels: Tensor) -> None:
        """Set class weights to the inverse square root of ``pixels``, int64 (K,), the pixels per class; mean 1."""
        present = pixels > 0
        weights = torch.where(present, pixels.clamp_min(1).double().rsqrt(), 0)
        mean = weights.sum() / present.sum().clamp_min(1)
        self.class_weights.copy_(torch.where(present, weights / mean, 1))

    def forward(self, logits: Tensor, masks: Tensor) -> Tensor:
        """Logits float (B, K, H, W) and masks uint8 (B, H, W) -> scalar; values of K and more are ignored.

        0 if all pixels are ignored.
        """
        logits, target = logits.float(), targets(masks, logits.shape[1])
        loss = self._focal(logits, target) if self.config.name == "focal" else self._cross_entropy(logits, target)
        if self.config.dice_weight:
            loss = loss + self.config.dice_weight * dice_loss(logits, target)
        return loss

    def _cross_entropy(self, logits: Tensor, target: Tensor) -> Tensor:
        weights = None if self.config.class_weights == "equal" else self.class_weights
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
        """Focal loss (Lin et al. 2017, arXiv 1708.02002, equation 5): the mean of -w (1 - p)^gamma log p."""
        losses = F.cross_entropy(logits, target, ignore_index=TARGET_IGNORE_INDEX, reduction="none")
        losses = losses * (1 - torch.exp(-losses)) ** self.config.focal_gamma
        return (losses * self.class_weights[target.clamp_min(0)]).sum() / self._weight_of(target)

    def _weight_of(self, target: Tensor) -> Tensor:
        """Sum of the class weights of all pixels not ignored, the divisor of PyTorch's mean; always positive."""
        counted = target != TARGET_IGNORE_INDEX
        if self.config.class_weights == "equal":
            return counted.sum().clamp_min(1)
        return (self.class_weights[target.clamp_min(0)] * counted).sum().clamp_min(torch.finfo(torch.float32).tiny)


def targets(masks: Tensor, classes: int) -> Tensor:
    """Masks uint8 (B, H, W) -> targets int64, with `TARGET_IGNORE_INDEX` for values of ``classes`` and more."""
    return masks.long().masked_fill_(masks >= classes, TARGET_IGNORE_INDEX)


def dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Soft Dice loss: 1 - Dice coefficient, averaged over the classes present in the batch; 0 if there are none.

    The coefficient of a class is 2 sum p g / (sum p^2 + sum g^2) over the pixels of the batch, where g is 1 for pixels
    of the class (Milletari et al. 2016, arXiv 1606.04797, section 3). A class that is absent from the batch has a
    coefficient of 0 whatever is predicted, and is left out.
    """
    classes = logits.shape[1]
    counted = (target != TARGET_IGNORE_INDEX).unsqueeze(1)
    true = F.one_hot(target.clamp_min(0), classes).movedim(-1, 1) * counted
    p = logits.softmax(dim=1) * counted
    over = (0, *range(2, p.ndim))
    pixels = true.sum(dim=over)
    overlap = 2 * (p * true).sum(dim=over) / (p.square().sum(dim=over) + pixels).clamp_min(1e-7)
    present = pixels > 0
    return ((1 - overlap) * present).sum() / present.sum().clamp_min(1)
