"""Classification: a backbone, a head, cross-entropy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy
from torchvision.transforms.v2.functional import resize

from headstart.metrics.classification import classification_estimates
from headstart.models.backbones import build, features_of, freeze
from headstart.models.heads import make_head, width_into
from headstart.recipes.recipe import Recipe
from headstart.tasks.task import Batch, ModelOutput, Task, mean_loss


class Classify(Task):
    """Cross-entropy over the classes, with label smoothing in training only (Szegedy et al. 2016, section 7)."""

    def __init__(
        self,
        backbone: nn.Module,
        head: nn.Sequential,
        classes: int,
        label_smoothing: float = 0.0,
        frozen: bool = False,
        mirrored: bool = False,
        side: int | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.features, self.classes = width_into(head), classes
        self.label_smoothing = label_smoothing
        self.frozen, self.mirrored, self.side = frozen, mirrored, side
        if frozen:
            freeze(backbone)
        self.training_metrics = MetricCollection(_metrics(classes), compute_groups=False)
        self.metrics = MetricCollection(_metrics(classes), compute_groups=False)
        self.training_metrics.persistent(True)  # in the checkpoint of a run that is stopped within an epoch

    @classmethod
    def build(cls, recipe: Recipe, classes: Sequence[str]) -> Self:
        backbone = build(recipe.backbone.name)
        head = make_head(features_of(backbone), len(classes), recipe.head)
        smoothing, frozen, val = recipe.train.label_smoothing, recipe.backbone.freeze, recipe.val
        task = cls(backbone, head, len(classes), smoothing, frozen, mirrored=val.hflip, side=val.image_size)
        task.freeze_layers(recipe.backbone)
        return task

    def forward(self, batch: Batch) -> Tensor:
        logits = self.head(self._features(batch))
        loss: Tensor = F.cross_entropy(logits, batch.labels, label_smoothing=self.label_smoothing)
        with torch.no_grad():
            self.training_metrics["loss"].update(loss.expand(len(batch.labels)))
            self.training_metrics["accuracy"].update(logits, batch.labels)
        return loss

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            if self.side is not None and not self.training:
                images = resize(images, [self.side, self.side], antialias=True)
            features: Tensor = self.backbone(images)
            if self.mirrored and not self.training:
                features = (features + self.backbone(images.flip(-1))) / 2
            return (features,)

    def infer(self, batch: Batch) -> ModelOutput:
        features: Tensor = self.head[:-1](self._features(batch))
        logits: Tensor = self.head[-1](features)
        return ModelOutput(features.float(), logits.float().softmax(dim=1))

    def evaluate(self, batch: Batch) -> ModelOutput:
        outputs = self.infer(batch)
        probabilities = outputs.probabilities
        likelihoods = probabilities.clamp_min(torch.finfo(torch.float32).tiny).log()
        losses = F.nll_loss(likelihoods, batch.labels, reduction="none")
        self.metrics["loss"].update(losses)
        self.metrics["accuracy"].update(probabilities, batch.labels)
        return outputs

    def evaluate_split(self, outputs: ModelOutput, labels: Tensor) -> dict[str, float]:
        """Log loss, accuracy and expected calibration error, as `headstart evaluate` computes them."""
        if not torch.isfinite(outputs.probabilities).all():
            return {"ece": math.nan}  # no bin holds it; the loss in `metrics` is nan, too
        values = classification_estimates(labels.numpy(), outputs.probabilities.numpy())
        return {name: values[name] for name in ("loss", "accuracy", "ece")}

    def _features(self, batch: Batch) -> Tensor:
        (features,) = batch.features or self.encode(batch.images)
        return features


def _metrics(classes: int) -> dict[str, Metric | MetricCollection]:
    """Mean loss per image, and top-1 accuracy."""
    return {"loss": mean_loss(), "accuracy": MulticlassAccuracy(classes, average="micro", validate_args=False)}
