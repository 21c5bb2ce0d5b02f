"""Semantic segmentation: a backbone's feature maps, a decoder, a class for every pixel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MetricCollection

from headstart.data.pixels import Pixels
from headstart.data.sampling import Rows
from headstart.errors import HeadstartError
from headstart.models.backbones import freeze
from headstart.models.decoders import AnyDecoder, DeepLabV3, Maps
from headstart.models.losses import TARGET_IGNORE_INDEX, PixelLoss, targets
from headstart.models.segmentation import Taps, build_segmenter, maps_of
from headstart.recipes.recipe import Recipe
from headstart.tasks.segmentation_metrics import ConfusionMetric, PixelMean, confusion_matrices
from headstart.tasks.task import Batch, ModelOutput, Task, mean_loss


class Segment(Task):
    """The recipe's loss over the pixels that are not ignored, plus the auxiliary classifier's with its weight, if any.

    The validation loss is the plain cross-entropy per pixel, whatever the training loss, so that recipes compare.
    """

    target = "mask"
    classes = 0

    def __init__(
        self,
        backbone: nn.Module,
        decoder: AnyDecoder,
        taps: Taps,
        names: Sequence[str],
        loss: PixelLoss,
        auxiliary: float = 0.0,
        frozen: bool = False,
    ) -> None:
        super().__init__()
        self.backbone, self.decoder, self.taps = backbone, decoder, taps
        self.features = taps.channels[-1]
        self.loss, self.auxiliary = loss, auxiliary
        self.frozen = frozen
        if frozen:
            freeze(backbone)
        count = len(names)
        self.mask_classes = count
        self.training_metrics = MetricCollection(
            {"loss": mean_loss(), "masks": ConfusionMetric(count)}, compute_groups=False
        )
        self.metrics = MetricCollection(
            {"loss": PixelMean(), "masks": ConfusionMetric(count, names)}, compute_groups=False
        )
        self.training_metrics.persistent(True)  # in the checkpoint of a run that is stopped within an epoch

    @classmethod
    def build(cls, recipe: Recipe, classes: Sequence[str]) -> Self:
        if recipe.probe.method == "logistic":
            raise HeadstartError(
                "probe.method: expected sgd for the task segment, whose decoder is more than one layer, found logistic",
                "probe.method=sgd",
            )
        backbone, decoder, taps = build_segmenter(recipe.backbone.name, recipe.decoder, len(classes))
        loss = PixelLoss(len(classes), recipe.loss, recipe.train.label_smoothing)
        task = cls(backbone, decoder, taps, classes, loss, recipe.decoder.aux_weight, recipe.backbone.freeze)
        task.freeze_layers(recipe.backbone)
        return task

    def prepare(self, pixels: Pixels, rows: Rows) -> None:
        """Weight the classes by their share of the training pixels, where the recipe asks for it."""
        if self.loss.config.class_weights == "balanced":
            assert pixels.mask_table is not None, "it is built for images with masks"
            pixels_of = pixels.mask_table.pixel_counts[rows].sum(axis=0)[: len(self.loss.class_weights)]
            self.loss.balance(torch.from_numpy(pixels_of))

    def forward(self, batch: Batch) -> Tensor:
        maps, masks = self._maps(batch), _masks_of(batch)
        extent = (masks.shape[-2], masks.shape[-1])
        logits = self.decoder(maps, extent)
        loss: Tensor = self.loss(logits, masks)
        if self.auxiliary and isinstance(self.decoder, DeepLabV3):
            loss = loss + self.auxiliary * self.loss(self.decoder.auxiliary(maps, extent), masks)
        with torch.no_grad():
            self.training_metrics["loss"].update(loss.expand(len(masks)))
            self.training_metrics["masks"].update(_confusion(logits, masks))
        return loss

    def encode(self, images: Tensor) -> Maps:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            return maps_of(self.backbone, images, self.taps)

    def infer(self, batch: Batch) -> ModelOutput:
        return self._run(batch)[0]

    def evaluate(self, batch: Batch) -> ModelOutput:
        outputs, logits = self._run(batch)
        target = targets(_masks_of(batch), logits.shape[1])
        losses = F.cross_entropy(logits.float(), target, ignore_index=TARGET_IGNORE_INDEX, reduction="none")
        self.metrics["loss"].update(losses, target != TARGET_IGNORE_INDEX)
        self.metrics["masks"].update(outputs.confusion)
        return outputs

    def predict(self, images: Tensor) -> Tensor:
        """float32 (B, 3, H, W) of any height and width -> probabilities of each pixel's class, (B, K, H, W)."""
        logits: Tensor = self.decoder(self.encode(images), (images.shape[-2], images.shape[-1]))
        return logits.float().softmax(dim=1)

    def _run(self, batch: Batch) -> tuple[ModelOutput, Tensor]:
        """Outputs of a batch, and its logits (B, K, H, W)."""
        maps = self._maps(batch)
        size = batch.images if batch.masks is None else batch.masks
        logits = self.decoder(maps, (size.shape[-2], size.shape[-1]))
        features = maps[-1].mean(dim=(2, 3)).float()
        confusion = None if batch.masks is None else _confusion(logits, batch.masks)
        return ModelOutput(features, features.new_zeros(len(features), 0), confusion), logits

    def _maps(self, batch: Batch) -> Maps:
        return batch.features or self.encode(batch.images)


def _masks_of(batch: Batch) -> Tensor:
    assert batch.masks is not None, "the loop gives masks to a task whose target they are"
    return batch.masks


def _confusion(logits: Tensor, masks: Tensor) -> Tensor:
    return confusion_matrices(masks, logits.argmax(dim=1), logits.shape[1])
