"""Task: a network and what it learns. The interface between the training loop and every task."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, NamedTuple, Self

import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric, MetricCollection

from headstart.data.pixels import Pixels
from headstart.data.sampling import Rows
from headstart.models.backbones import batchnorm_layers, freeze_stages
from headstart.models.weights import Provenance, load_weights
from headstart.recipes.recipe import Backbone, Recipe

EMPTY_IMAGES = torch.empty(0)
"""`Batch.images` of a batch with cached backbone features."""


class Batch(NamedTuple):
    """Inputs and targets of one step, for B images."""

    images: Tensor
    """float32 (B, 3, S, S), normalized."""
    labels: Tensor
    """int64 (B,): positions in the run's classes; -1 for an image without a label."""
    other_views: tuple[Tensor, ...] = ()
    """Further views of the same images, each as `images`; for tasks that compare views, ``num_views - 1`` of them."""
    masks: Tensor | None = None
    """uint8 (B, S, S): class of each pixel, values of K or more are ignored; for tasks with ``target = "mask"``."""
    features: tuple[Tensor, ...] = ()
    """Cached output of `Task.encode`, if the frozen backbone was run before; `images` is then `EMPTY_IMAGES`."""


class ModelOutput(NamedTuple):
    """Model outputs for a batch of B images."""

    features: Tensor
    """float32 (B, F): penultimate features, the input of the network's last layer."""
    probabilities: Tensor
    """float32 (B, C); C is 0 for a task that predicts no classes."""
    confusion: Tensor | None = None
    """int64 (B, K, K): pixels of each image by (class, predicted class), ignored ones left out; of masks only."""


class Task(nn.Module):
    """A network and what it learns. ``forward(batch)`` is the training loss, so that DDP can wrap it.

    A new task is one file with a subclass, and a line in `headstart.tasks.TASKS`.
    """

    num_views: int = 1
    """Views of each image in a training batch: 2 or more for a task that compares them (`Batch.other_views`)."""
    views_are_parts: ClassVar[bool] = False
    """Whether a training view shows a small part of an image at the image's own scale: validation then shows whole
    images of `data.image_size`, however small the views are (`augment.sizes`)."""
    target: ClassVar[Literal["label", "mask", "none"]] = "label"
    """What it learns from, besides the images."""
    backbone: nn.Module
    frozen: bool = False
    """Whether the backbone stays as it is and the head alone is trained."""
    frozen_layers: Sequence[str] = ()
    """Names of the backbone's layers that stay as they are while the others are trained."""
    features: int
    """F, the width of `ModelOutput.features`."""
    classes: int
    """C, the width of `ModelOutput.probabilities`; 0 for a task that predicts no classes."""
    mask_classes: int = 0
    """K, the width of `ModelOutput.confusion`; 0 for a task that predicts no masks."""
    training_metrics: MetricCollection
    """Updated by `forward`; ``loss`` among them."""
    metrics: MetricCollection
    """Updated by `evaluate`; ``loss`` among them."""

    @property
    def needs_masks(self) -> bool:
        """Whether batches hold masks."""
        return self.target == "mask"

    @classmethod
    @abstractmethod
    def build(cls, recipe: Recipe, classes: Sequence[str]) -> Self:
        """Build the network of ``recipe`` for these classes, with random weights."""

    def load_backbone(self, config: Backbone) -> Provenance:
        """Load the weights that a recipe names into the backbone, and return their provenance."""
        return load_weights(self.backbone, config)

    def freeze_layers(self, config: Backbone) -> None:
        """Freeze what a recipe freezes of a backbone that is trained: its first stages, its batch-norm statistics."""
        stages = freeze_stages(self.backbone, config.freeze_stages) if config.freeze_stages else []
        learnt = config.freeze_batchnorm and config.weights != "none"  # those of random weights normalize nothing
        self.frozen_layers = [*stages, *(batchnorm_layers(self.backbone) if learnt else ())]

    def prepare(self, pixels: Pixels, rows: Rows) -> None:
        """Compute what depends on the training images, some ``rows`` of ``pixels``, before the first step.

        Most tasks need nothing of them; `Segment` computes class weights.
        """

    def train(self, mode: bool = True) -> Self:
        """As `nn.Module.train`; what is frozen stays in eval mode, so that its batch-norm statistics stay too."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        for name in self.frozen_layers:
            self.backbone.get_submodule(name).eval()
        return self

    @abstractmethod
    def forward(self, batch: Batch) -> Tensor:
        """The training loss, a scalar; updates `training_metrics`."""

    @abstractmethod
    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        """float32 (B, 3, S, S) -> backbone output: features (B, D), or feature maps (B, D, h, w)."""

    @abstractmethod
    def infer(self, batch: Batch) -> ModelOutput:
        """Features and probabilities of a batch, in one pass."""

    @abstractmethod
    def evaluate(self, batch: Batch) -> ModelOutput:
        """Update `metrics` with a batch, and return its outputs as `infer` does."""

    def evaluate_split(self, outputs: ModelOutput, labels: Tensor) -> dict[str, float]:  # noqa: ARG002
        """Metrics of a whole split from the outputs for its N images, in order, and their labels, (N,).

        They replace those of equal name in `metrics`. For figures that `headstart evaluate` gives, too: both call the
        same function of the same arrays, so that they agree to the last digit.
        """
        return {}

    def predict(self, images: Tensor) -> Tensor:
        """float32 (B, 3, S, S) -> probabilities, float32 (B, C); of masks (B, K, S, S)."""
        unlabeled = torch.full((len(images),), -1, device=images.device)
        return self.infer(Batch(images, unlabeled)).probabilities

    def after_step(self, progress: float) -> None:
        """Called after each optimizer step; ``progress`` runs from 0 to 1 over the training."""

    def weights(self) -> dict[str, Tensor]:
        """The network's state dict: parameters and buffers, without the metrics."""
        return {k: v for k, v in self.state_dict().items() if not k.startswith(("metrics.", "training_metrics."))}

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Load what `weights` returned. Raises RuntimeError for the weights of another network."""
        own = self.weights().keys()
        if weights.keys() != own:
            raise RuntimeError(
                f"expected the tensors of this network, found others: {sorted(own ^ weights.keys())[:4]}"
            )
        self.load_state_dict({**self.state_dict(), **weights})


def mean_loss() -> MeanMetric:
    """Mean loss per image, which is nan as soon as one loss is.

    ``nan_strategy="disable"`` keeps nan, and makes `MeanMetric` ignore weights: update it with a loss per image.
    """
    return MeanMetric(nan_strategy="disable")
