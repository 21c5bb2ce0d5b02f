"""Segmentation metrics during training: loss per pixel, accuracy and IoU from one confusion matrix.

IoU is of the whole set: a class's pixels are summed over all images before anything is divided, as the DeepGlobe
challenge does. A mean over images of each image's IoU is another number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric

from headstart.metrics.segmentation import iou, mean_iou, pixel_accuracy

PAIRED = 11
"""Classes up to which the bins of two pixels, 0 to K * K each, fit into 15 bits."""


def confusion_matrices(masks: Tensor, predicted: Tensor, classes: int) -> Tensor:
    """Pixels of each image by true class (row) and predicted class (column), int64 (B, K, K).

    ``masks`` is uint8 (B, H, W), values of K or more are left out; ``predicted`` is (B, H, W), 0 to K - 1. One
    image at a time, so that its pixels stay in the processor's cache.
    """
    kind, count = (torch.uint8, _bincount_in_pairs) if classes <= PAIRED else (torch.int32, _bincount)
    left_out = classes * classes
    counts = []
    for mask, answer in zip(masks, predicted.to(kind), strict=True):
        numbers = mask.clamp(max=classes).to(kind).mul_(classes).add_(answer).clamp_(max=left_out)
        counts.append(count(numbers.flatten(), left_out + 1)[:left_out])
    return torch.stack(counts).view(-1, classes, classes)


def _bincount(numbers: Tensor, bins: int) -> Tensor:
    return torch.bincount(numbers, minlength=bins)


def _bincount_in_pairs(numbers: Tensor, bins: int) -> Tensor:
    """As `_bincount`, of bytes, but two neighbors at a time: a histogram costs by its entries, not its range."""
    if len(numbers) % 2:
        numbers = F.pad(numbers, (0, 1), value=bins - 1)  # the last bin holds ignored pixels
    pairs = torch.bincount(numbers.view(torch.int16), minlength=256 * bins).view(bins, 256)[:, :bins]
    return pairs.sum(dim=0) + pairs.sum(dim=1)


class ConfusionMetric(Metric):
    """``accuracy`` (of pixels), ``miou`` and, with ``names``, ``iou_<name>`` of each class, over all images.

    A class that is neither in the ground truth nor predicted has no IoU: it is nan, and not in the mean.
    """

    full_state_update = False
    confusion: Tensor

    def __init__(self, classes: int, names: Sequence[str] = (), **config: Any) -> None:
        super().__init__(**config)
        self.names = tuple(names)
        self.add_state("confusion", torch.zeros(classes, classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, confusion: Tensor) -> None:
        """int64 (B, K, K), as `confusion_matrices` returns it."""
        self.confusion += confusion.sum(dim=0)

    def compute(self) -> dict[str, Tensor]:
        pixels = self.confusion.cpu().numpy()  # by the functions that `headstart evaluate` calls
        each = {f"iou_{name}": value for name, value in zip(self.names, iou(pixels), strict=False)}
        values = {"accuracy": pixel_accuracy(pixels), "miou": mean_iou(pixels), **each}
        return {name: torch.tensor(float(value), dtype=torch.float64) for name, value in values.items()}


class PixelMean(Metric):
    """Mean loss of all pixels that are not ignored, over all images; nan as soon as one loss is."""

    full_state_update = False
    total: Tensor
    pixels: Tensor

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("pixels", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, losses: Tensor, counted: Tensor) -> None:
        """float loss of each pixel, 0 if it is ignored, and bool whether it counts."""
        self.total += losses.double().sum()
        self.pixels += counted.sum()

    def compute(self) -> Tensor:
        return self.total / self.pixels
