"""Image batches on the device: decoded pixels, masks and sizes, and the training views made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from headstart.data.pixels import Pixels
from headstart.data.sampling import Rows
from headstart.recipes.recipe import Augment, Data, Recipe
from headstart.transforms.augment import augment, augment_mask, augment_window
from headstart.transforms.params import AugmentParams, sample_params


@dataclass(frozen=True)
class Images:
    """A batch of B decoded images."""

    pixels: Tensor
    """uint8 (B, 3, H, W)."""
    masks: Tensor | None
    """uint8 (B, H, W); None for tasks without masks."""
    sizes: Tensor | None
    """int64 (B, 2): height and width of each image, for training on windows (data.resize=keep); else None."""

    def view(self, config: Augment, side: int, params: AugmentParams) -> Tensor:
        """Augmented images, float32 (B, 3, side, side), normalized."""
        if self.sizes is None:
            return augment(self.pixels, config, side, params)
        return augment_window(self.pixels, config, side, params, self.sizes)

    def views(self, recipe: Recipe, side: int, params: Sequence[AugmentParams]) -> list[Tensor]:
        """Views of the batch, as `view` makes them, by the ``params`` of each: the first by `augment`, others by
        `second_augment` where the recipe has one."""
        second = recipe.second_augment or recipe.augment
        return [self.view(second if number else recipe.augment, side, each) for number, each in enumerate(params)]

    def mask(self, side: int, params: AugmentParams) -> Tensor | None:
        """Masks of the views that `view` makes with the same parameters, uint8 (B, side, side)."""
        return None if self.masks is None else augment_mask(self.masks, side, params, self.sizes)


def sample_views(
    recipe: Recipe, views: int, count: int, generator: Callable[[str], torch.Generator]
) -> list[AugmentParams]:
    """Augmentation parameters of ``count`` images for each of so many views, all of one window.

    ``generator`` gives each view's source of randomness by the view's name.
    """
    names = ["views", "second views", *(f"views {number}" for number in range(3, views + 1))][:views]
    first, *others = (
        sample_params((recipe.second_augment or recipe.augment) if number else recipe.augment, count, generator(name))
        for number, name in enumerate(names)
    )
    return [first, *(other.with_window_from(first) for other in others)]


def images_at(pixels: Pixels, rows: Rows, data: Data, masks: bool, device: torch.device) -> Images:
    """The batch at ``rows``, with masks if ``masks``, on ``device``.

    With data.resize=keep, H and W are those of the largest of these images; the others are padded below and to the
    right.
    """
    images, under = pixels.batch(rows, device), pixels.masks(rows) if masks else None
    sizes = torch.from_numpy(pixels.sizes[rows]) if data.resize == "keep" else None
    if sizes is not None:
        height, width = sizes.amax(dim=0).tolist()
        images, under = images[..., :height, :width], None if under is None else under[..., :height, :width]
    return Images(images, None if under is None else under.to(device), sizes)
