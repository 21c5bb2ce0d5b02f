"""What the training loop asks of every task, and nothing more."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, NamedTuple, Self

import torch
from torch import Tensor, nn
from torchmetrics import MetricCollection

from headstart.data.pixels import Pixels
from headstart.data.sampling import Rows
from headstart.models.weights import Provenance, load_weights
from headstart.recipes.recipe import Backbone, Recipe

EMPTY_IMAGES = torch.empty(0)
"""In the place of images that the backbone has seen already."""


class Batch(NamedTuple):
    """What one step is made of."""

    images: Tensor
    """float32 (B, 3, S, S), normalized."""
    labels: Tensor
    """int64 (B,): positions in the run's classes; -1 where an image has none."""
    images2: Tensor | None = None
    """Another view of the same images, as `images`; for tasks that ask for two."""
    masks: Tensor | None = None
    """uint8 (B, S, S): a class for every pixel, those above the last one ignored; for tasks that learn from masks."""
    features: tuple[Tensor, ...] = ()
    """What the frozen backbone made of the images, when it was run before; `images` is then `NO_PIXELS`."""


class ModelOutput(NamedTuple):
    """What a network makes of B images."""

    features: Tensor
    """float32 (B, F): what its last layer works on (the penultimate features)."""
    probabilities: Tensor
    """float32 (B, C)"""
    confusion: Tensor | None = None
    """int64 (B, K, K): pixels of each image by (class, predicted class), ignored ones left out; of masks only."""


class Task(nn.Module):
    """A network and what it learns. ``forward(batch)`` is the loss, so that DDP can wrap it."""

    num_views: ClassVar[int] = 1
    """How many views of an image the task compares: with 2, every batch has a `second` one."""
    target: ClassVar[Literal["label", "mask", "none"]] = "label"
    """What it learns from beside the images."""
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

    def prepare(self, pixels: Pixels, rows: Rows) -> None:
        """Look at what will be trained on, some rows of ``pixels``, before the first step; most tasks need not."""

    @abstractmethod
    def forward(self, batch: Batch) -> Tensor:
        """The training loss, a scalar; updates `training_metrics`."""

    @abstractmethod
    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        """float32 (B, 3, S, S) -> what the backbone makes of them: features (B, D), or maps (B, D, s, s)."""

    @abstractmethod
    def infer(self, batch: Batch) -> ModelOutput:
        """Features and probabilities of a batch, in one pass."""

    @abstractmethod
    def evaluate(self, batch: Batch) -> ModelOutput:
        """Update `metrics` with a batch, and return what `infer` says of it."""

    def predict(self, images: Tensor) -> Tensor:
        """float32 (B, 3, S, S) -> probabilities, float32 (B, C); of masks (B, K, S, S)."""
        unknown = torch.full((len(images),), -1, device=images.device)
        return self.infer(Batch(images, unknown)).probabilities

    def after_step(self, progress: float) -> None:
        """Called after each optimizer step; ``progress`` runs from 0 to 1 over the training."""

    def weights(self) -> dict[str, Tensor]:
        """The numbers that make the network: parameters and buffers, without the metrics."""
        return {k: v for k, v in self.state_dict().items() if not k.startswith(("metrics.", "training_metrics."))}

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Take over what `weights` returned; raises RuntimeError when it is of another network."""
        own = self.weights().keys()
        if weights.keys() != own:
            raise RuntimeError(
                f"expected the tensors of this network, found others: {sorted(own ^ weights.keys())[:4]}"
            )
        self.load_state_dict({**self.state_dict(), **weights})
