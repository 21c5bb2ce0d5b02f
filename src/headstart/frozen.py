"""A frozen backbone run once: what it makes of every image is kept, so that a head is trained in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from headstart.data.order import Rows, batches, seed_of
from headstart.data.pixels import Pixels
from headstart.data.views import draw, plain_view, training_view
from headstart.recipe import Recipe
from headstart.tasks import Task


@dataclass(frozen=True)
class Embedded:
    """The backbone's features of all images, D wide, a row of the index each."""

    plain: Tensor
    """float32 (N, D): of the images as validation sees them."""
    views: tuple[Tensor, ...]
    """float32 (N, D) each: of random views, one after the other taken for an epoch; rows of training images only."""

    def training(self, rows: Rows, epoch: int) -> Tensor:
        """What the head is trained on in an epoch, (B, D)."""
        return (self.views[epoch % len(self.views)] if self.views else self.plain)[rows]


@torch.inference_mode()
def embed(
    task: Task, pixels: Pixels, train_rows: Rows, recipe: Recipe, autocast: AbstractContextManager[None]
) -> Embedded:
    """Run the backbone of ``task``, in eval mode, over all images and over ``recipe.probe.views`` views of some."""
    device = next(task.parameters()).device
    task.eval()

    def run(rows: Rows, side: int, chance: Sequence[int | str]) -> Tensor:
        features = torch.zeros(len(pixels), task.embed(torch.zeros(1, 3, side, side, device=device)).shape[1])
        for number, some in enumerate(batches(rows, recipe.val.batch)):
            squares = pixels.batch(some).to(device)
            if chance:
                drawn = draw(recipe.views, len(some), torch.Generator().manual_seed(seed_of(*chance, number)))
                images = training_view(squares, recipe.views, side, drawn)
            else:
                images = plain_view(squares, recipe.views)
            features[some] = task.embed(images).float().cpu()
        return features

    with autocast:
        plain = run(np.arange(len(pixels)), recipe.data.size, ())
        views = tuple(
            run(train_rows, recipe.side(recipe.train.epochs - 1), ("probe", recipe.seed, number))
            for number in range(recipe.probe.views)
        )
    return Embedded(plain.to(device), tuple(view.to(device) for view in views))
