"""What is exported: preprocessing and network in one module, from decoded pixels to predictions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from headstart.export.resize import PillowResize
from headstart.inference.model import Model
from headstart.recipes.recipe import Recipe
from headstart.tasks import Task
from headstart.tasks.classify import Classify
from headstart.tasks.segment import Segment

CLASSIFIER = ("probabilities", "logits", "features")
SEGMENTER = ("mask", "logits")
ENCODER = ("features",)


class WholeNetwork(nn.Module):
    """uint8 (B, H, W, 3), red, green, blue -> what `outputs_of` names, in float32 arithmetic.

    A classifier: probabilities and logits (B, C), and features (B, F), the input of its last layer. A segmentation
    model: the mask, uint8 (B, H, W), of positions in the classes, and logits (B, K, H, W). A network that was
    pre-trained without labels: features (B, F).
    """

    def __init__(self, task: Task, recipe: Recipe) -> None:
        super().__init__()
        self.task = task
        data, augment = recipe.data, recipe.augment
        self.resize = None if data.resize == "keep" else PillowResize(data.image_size, data.resize)
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(augment.mean).view(1, 3, 1, 1) * 255)
        self.register_buffer("std", torch.tensor(augment.std).view(1, 3, 1, 1) * 255)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        pixels = images.permute(0, 3, 1, 2)
        if self.resize is not None:
            pixels = self.resize(pixels)
        inputs = (pixels.to(torch.float32) - self.mean) / self.std
        if isinstance(self.task, Classify):
            (encoded,) = self.task.encode(inputs)
            features = self.task.head[:-1](encoded)
            logits = self.task.head[-1](features)
            return logits.softmax(dim=1), logits, features
        if isinstance(self.task, Segment):
            logits = self.task.decoder(self.task.encode(inputs), (inputs.shape[-2], inputs.shape[-1]))
            return logits.argmax(dim=1).to(torch.uint8), logits
        return self.task.encode(inputs)


def whole_network(model: Model) -> WholeNetwork:
    """The network of a run with its preprocessing, on the CPU, in evaluation mode."""
    task = model.task.to("cpu").to(memory_format=torch.contiguous_format)
    return WholeNetwork(task, model.recipe).eval().requires_grad_(False)


def outputs_of(task: Task) -> tuple[str, ...]:
    """Names of what `WholeNetwork` returns."""
    if isinstance(task, Classify):
        return CLASSIFIER
    return SEGMENTER if isinstance(task, Segment) else ENCODER
