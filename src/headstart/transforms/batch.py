"""Some images of a table, on their device, and what training makes of them: views of squares, windows of others."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from headstart.data.pixels import Pixels
from headstart.data.sampling import Rows
from headstart.recipes.recipe import Augment, Data
from headstart.transforms.augment import AugmentParams, augment, augment_mask, augment_window


@dataclass(frozen=True)
class Images:
    """B images as they were decoded."""

    pixels: Tensor
    """uint8 (B, 3, H, W)."""
    masks: Tensor | None
    """uint8 (B, H, W); None where nothing is learned from masks."""
    sizes: Tensor | None
    """int64 (B, 2): height and width of each image, which training sees windows of; None of squares, seen whole."""

    def view(self, settings: Augment, side: int, draw: AugmentParams) -> Tensor:
        """float32 (B, 3, side, side), normalized."""
        if self.sizes is None:
            return augment(self.pixels, settings, side, draw)
        return augment_window(self.pixels, settings, side, draw, self.sizes)

    def mask(self, side: int, draw: AugmentParams) -> Tensor | None:
        """uint8 (B, side, side): what lies under `view` with the same draw."""
        return None if self.masks is None else augment_mask(self.masks, side, draw, self.sizes)


def images_at(pixels: Pixels, rows: Rows, data: Data, masks: bool, device: torch.device) -> Images:
    """The images at some rows of a table, and if asked their masks.

    Images that keep their size are as large as the largest of these rows; the others lie in its upper left.
    """
    images, under = pixels.batch(rows), pixels.masks(rows) if masks else None
    sizes = torch.from_numpy(pixels.sizes[rows]) if data.resize == "keep" else None
    if sizes is not None:
        height, width = sizes.amax(dim=0).tolist()
        images, under = images[..., :height, :width], None if under is None else under[..., :height, :width]
    return Images(images.to(device), None if under is None else under.to(device), sizes)
