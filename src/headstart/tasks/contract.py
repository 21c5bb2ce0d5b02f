"""What the training loop asks of every task, and nothing more."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple, Self

from torch import Tensor, nn
from torchmetrics import MetricCollection

from headstart.models.weights import Provenance, load_weights
from headstart.recipe import Backbone, Recipe


class Batch(NamedTuple):
    """What one step is made of."""

    images: Tensor
    """float32 (B, 3, S, S), normalised."""
    labels: Tensor
    """int64 (B,): positions in the run's classes; -1 where an image has none."""
    second: Tensor | None = None
    """Another view of the same images, as `images`; for tasks that ask for two."""


class Seen(NamedTuple):
    """What a network makes of B images."""

    features: Tensor
    """float32 (B, F): what its last layer works on (the penultimate features)."""
    probabilities: Tensor
    """float32 (B, C)"""


class Task(nn.Module):
    """A network and what it learns. ``forward(batch)`` is the loss, so that DDP can wrap it."""

    views: ClassVar[int] = 1
    """How many views of an image the task compares: with 2, every batch has a `second` one."""
    labelled: ClassVar[bool] = True
    """Whether it learns from labels."""
    backbone: nn.Module
    features: int
    """F, the width of `Seen.features`."""
    classes: int
    """C, the width of `Seen.probabilities`; 0 where the task answers with no classes."""
    training_metrics: MetricCollection
    """Updated by `forward`; ``loss`` among them."""
    metrics: MetricCollection
    """Updated by `evaluate`; ``loss`` among them."""

    @classmethod
    @abstractmethod
    def build(cls, recipe: Recipe, classes: Sequence[str]) -> Self:
        """The network of ``recipe`` for these classes, from random weights."""

    def load_backbone(self, settings: Backbone) -> Provenance:
        """Fill the backbone with the weights that a recipe names, and return where they are from."""
        return load_weights(self.backbone, settings)

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
