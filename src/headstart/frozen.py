"""A frozen backbone run once: what it makes of every image is kept, so that a head is trained in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from headstart.data.images import images_at
from headstart.data.order import Rows, batches, seed_of
from headstart.data.pixels import Pixels
from headstart.data.views import draw, plain_view
from headstart.recipe import Recipe
from headstart.tasks import Task


@dataclass(frozen=True)
class Embedded:
    """What the backbone makes of all images (`Task.embed`), each part of it a row of the index each."""

    plain: tuple[Tensor, ...]
    """(N, ...) each: of the images as validation sees them."""
    views: tuple[tuple[Tensor, ...], ...]
    """Of random views, one after the other taken for an epoch; rows of training images only."""
    masks: tuple[Tensor, ...] = ()
    """uint8 (N, side, side): what lies under each of the views, where the task learns from masks."""

    def training(self, rows: Rows, epoch: int) -> tuple[Tensor, ...]:
        """What the head is trained on in an epoch, (B, ...) each."""
        return tuple(part[rows] for part in (self.views[epoch % len(self.views)] if self.views else self.plain))

    def training_masks(self, rows: Rows, epoch: int, pixels: Pixels) -> Tensor:
        """The masks under them: of the views, or of the images as they are."""
        masks = self.masks[epoch % len(self.masks)][rows] if self.masks else pixels.masks(rows)
        return masks.to(self.plain[0].device)

    def validation(self, rows: Rows) -> tuple[Tensor, ...]:
        """What is looked at, (B, ...) each."""
        return tuple(part[rows] for part in self.plain)


@torch.inference_mode()
def embed(
    task: Task, pixels: Pixels, train_rows: Rows, recipe: Recipe, autocast: AbstractContextManager[None]
) -> Embedded:
    """Run the backbone of ``task``, in eval mode, over all images and over ``recipe.probe.views`` views of some."""
    device, with_masks = next(task.parameters()).device, task.target == "mask"
    task.eval()

    def run(rows: Rows, side: int, chance: Sequence[int | str]) -> tuple[Tensor, ...]:
        """(N, ...) each: what the backbone makes of ``rows``, and last the masks under random views."""
        parts: tuple[Tensor, ...] = ()
        for number, some in enumerate(batches(rows, recipe.val.batch)):
            mask = None
            if chance:
                images = images_at(pixels, some, recipe.data, with_masks, device)
                drawn = draw(recipe.views, len(some), torch.Generator().manual_seed(seed_of(*chance, number)))
                view, mask = images.view(recipe.views, side, drawn), images.mask(side, drawn)
            else:  # all of one size, so that their maps are too
                view = plain_view(pixels.batch(some).to(device), recipe.views)
            seen = [*(part.float().cpu() for part in task.embed(view)), *(() if mask is None else (mask.cpu(),))]
            parts = parts or tuple(torch.zeros(len(pixels), *part.shape[1:], dtype=part.dtype) for part in seen)
            for part, of_some in zip(parts, seen, strict=True):
                part[some] = of_some
        return tuple(part.to(device) for part in parts)

    with autocast:
        plain = run(np.arange(len(pixels)), recipe.data.size, ())
        views = tuple(
            run(train_rows, recipe.side(recipe.train.epochs - 1), ("probe", recipe.seed, number))
            for number in range(recipe.probe.views)
        )
    if not with_masks:
        return Embedded(plain, views)
    return Embedded(plain, tuple(view[:-1] for view in views), tuple(view[-1] for view in views))
