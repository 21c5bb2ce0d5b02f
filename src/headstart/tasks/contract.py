"""What the training loop asks of every task, and nothing more."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self

from torch import Tensor, nn
from torchmetrics import MetricCollection

from headstart.recipe import Recipe


class Batch(NamedTuple):
    """What one step is made of."""

    images: Tensor
    """float32 (B, 3, S, S), normalised."""
    labels: Tensor
    """int64 (B,): positions in the run's classes."""


class Seen(NamedTuple):
    """What a network makes of B images."""

    features: Tensor
    """float32 (B, F): what its last layer works on (the penultimate features)."""
    probabilities: Tensor
    """float32 (B, C)"""


class Task(nn.Module):
    """A network and what it learns. ``forward(batch)`` is the loss, so that DDP can wrap it."""

    backbone: nn.Module
    features: int
    """F, the width of `Seen.features`."""
    classes: int
    """C, the width of `Seen.probabilities`."""
    training_metrics: MetricCollection
    """Updated by `forward`; ``loss`` among them."""
    metrics: MetricCollection
    """Updated by `evaluate`; ``loss`` among them."""

    @classmethod
    @abstractmethod
    def build(cls, recipe: Recipe, classes: Sequence[str]) -> Self:
        """The network of ``recipe`` for these classes, from random weights."""

    @abstractmethod
    def forward(self, batch: Batch) -> Tensor:
        """The training loss, a scalar; updates `training_metrics`."""

    @abstractmethod
    def embed(self, images: Tensor) -> Tensor:
        """float32 (B, 3, S, S) -> what the backbone makes of them, float32 (B, D)."""

    @abstractmethod
    def see(self, images: Tensor) -> Seen:
        """float32 (B, 3, S, S) -> features and probabilities, in one pass."""

    @abstractmethod
    def evaluate(self, batch: Batch) -> Seen:
        """Update `metrics` with a batch, and return what `see` says of it."""

    def predict(self, images: Tensor) -> Tensor:
        """float32 (B, 3, S, S) -> probabilities, float32 (B, C)."""
        return self.see(images).probabilities

    def after_step(self, progress: float) -> None:
        """Called after each optimizer step; ``progress`` runs from 0 to 1 over the training."""

    def weights(self) -> dict[str, Tensor]:
        """The numbers that make the network: parameters and buffers, without the metrics."""
        return {k: v for k, v in self.state_dict().items() if not k.startswith(("metrics.", "training_metrics."))}

    def set_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Take over what `weights` returned; raises RuntimeError when it is of another network."""
        own = self.weights().keys()
        if weights.keys() != own:
            raise RuntimeError(
                f"expected the tensors of this network, found others: {sorted(own ^ weights.keys())[:4]}"
            )
        self.load_state_dict({**self.state_dict(), **weights})
