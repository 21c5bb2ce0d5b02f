"""Affine sampling: from the pixels of a view to coordinates in the image, and their interpolation.

Crop, zoom, flip and rotation are one affine map, so that an image is resampled once.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def rotation_matrices(center_y: Tensor, center_x: Tensor, scale_y: Tensor, scale_x: Tensor, angle: Tensor) -> Tensor:
    """Affine matrices, float (B, 2, 3): from pixels of the view to image coordinates, both relative to the center.

    The view's center lies at (``center_x``, ``center_y``) of the image, one pixel of the view is (``scale_x``,
    ``scale_y``) pixels of the image, and the view is rotated about its center by ``angle`` degrees; all (B,).
    """
    angle = torch.deg2rad(angle)
    cos, sin = angle.cos(), angle.sin()
    row_x = torch.stack([scale_x * cos, -scale_x * sin, center_x], dim=1)
    row_y = torch.stack([scale_y * sin, scale_y * cos, center_y], dim=1)
    return torch.stack([row_x, row_y], dim=1)


def sampling_grid(matrices: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Image coordinates of each pixel of the views: x and y, float (B, side, side), relative to the image's center."""
    steps = torch.arange(side, device=matrices.device, dtype=torch.float32) - (side - 1) / 2
    x, y = steps.view(1, 1, side), steps.view(1, side, 1)
    (xx, xy, x0), (yx, yy, y0) = ([part.view(-1, 1, 1) for part in row.unbind(1)] for row in matrices.unbind(1))
    return xx * x + (xy * y + x0), yx * x + (yy * y + y0)


def bilinear(images: Tensor, x: Tensor, y: Tensor, padding_mode: str) -> Tensor:
    """Bilinear interpolation of (B, 3, H, W) at x and y (B, S, S); ``padding_mode`` is grid_sample's: zeros, border."""
    grid = torch.stack([x * (2 / images.shape[-1]), y * (2 / images.shape[-2])], dim=-1)
    return F.grid_sample(images.float(), grid, padding_mode=padding_mode, align_corners=False)


def nearest(images: Tensor, x: Tensor, y: Tensor, fill: int = 0) -> Tensor:
    """Nearest-neighbor interpolation of (B, C, H, W) at x and y (B, S, S), which are overwritten; ``fill`` outside.

    A one-pixel border holds ``fill``, and coordinates are clamped to it. Gathering bytes by their index is three times
    as fast as grid_sample on floats.
    """
    height, width = images.shape[-2:]
    padded = F.pad(images, (1, 1, 1, 1), value=fill)
    column = x.add_((width + 1) / 2).clamp_(0, width + 1).round_()
    row = y.add_((height + 1) / 2).clamp_(0, height + 1).round_()
    row = row.double() if (height + 2) * (width + 2) > 2**24 else row  # float32 holds every integer up to 2**24
    index = row.mul_(width + 2).add_(column).long().flatten(1).unsqueeze(1)
    sampled = padded.flatten(2).gather(2, index.expand(-1, images.shape[1], -1))
    return sampled.view(*images.shape[:2], *x.shape[-2:])
