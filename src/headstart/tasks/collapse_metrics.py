"""Metrics of collapse in self-supervised learning: feature standard deviation and view similarity."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric


def feature_std(outputs: Tensor) -> Tensor:
    """`FeatureStd` of one batch, float (B, D): a scalar."""
    return F.normalize(outputs.float(), dim=1).std(dim=0, correction=0).mean() * math.sqrt(outputs.shape[1])


class FeatureStd(Metric):
    """Standard deviation of L2-normalized outputs, mean over their D dimensions, times sqrt(D).

    Near 1 when outputs fill all directions, 0 when all are equal (collapse): Chen and He (2021, section 4.1). Use it on
    projections, whose last layer has no ReLU, as they do.
    """

    full_state_update = False
    count: Tensor
    total: Tensor
    squares: Tensor

    def __init__(self, width: int, **config: Any) -> None:
        super().__init__(**config)
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        for name in ("total", "squares"):
            self.add_state(name, torch.zeros(width, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, outputs: Tensor) -> None:
        """float (B, D)"""
        unit = F.normalize(outputs.double(), dim=1)
        self.count += len(unit)
        self.total += unit.sum(dim=0)
        self.squares += unit.square().sum(dim=0)

    def compute(self) -> Tensor:
        variance = self.squares / self.count - (self.total / self.count).square()
        return variance.clamp_min(0).sqrt().mean() * math.sqrt(len(self.total))


class ViewSimilarity(Metric):
    """Cosine similarity of two views of an image, relative to that of different images: (s - o) / (1 - o).

    s is the mean cosine similarity of the features of two views of the same image, o that of views of different images.
    1 means equal views. Unlike s alone, it is not near 1 before training: the features of a ReLU network all point in
    similar directions (o is about 0.9 with random weights).
    """

    full_state_update = False
    count: Tensor
    same: Tensor
    one: Tensor
    other: Tensor

    def __init__(self, width: int, **config: Any) -> None:
        super().__init__(**config)
        for name in ("count", "same"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        for name in ("one", "other"):
            self.add_state(name, torch.zeros(width, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, features: Tensor, others: Tensor) -> None:
        """float (B, F): the features of two views of B images."""
        one, other = F.normalize(features.double(), dim=1), F.normalize(others.double(), dim=1)
        self.count += len(one)
        self.same += (one * other).sum()
        self.one += one.sum(dim=0)
        self.other += other.sum(dim=0)

    def compute(self) -> Tensor:
        same = self.same / self.count
        different = (self.one @ self.other - self.same) / (self.count * (self.count - 1)).clamp_min(1)
        return (same - different) / (1 - different).clamp_min(1e-12)
