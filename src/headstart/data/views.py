"""Random changes to a whole batch at once, each image with its own draw.

The draw is made first and apart from the pixels, so that an image gets the same change however many processes
share a batch. The operations are torchvision's without its loop over images; the tests hold them against it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2.functional import resize

from headstart.recipe import Views

TRIES = 10
"""Draws of a crop before the whole image is taken, as in torchvision's RandomResizedCrop."""


@dataclass(frozen=True)
class Draw:
    """What chance has decided for each of B images."""

    flip: Tensor
    """bool (B,): mirrored left to right."""
    vertical_flip: Tensor
    """bool (B,): mirrored top to bottom."""
    angle: Tensor
    """float (B,): degrees, counter-clockwise."""
    box: Tensor
    """float (B, 4): the crop's top, left, height and width, as shares of the image."""
    brightness: Tensor
    """float (B,): factor."""
    contrast: Tensor
    """float (B,): factor."""

    def of(self, rows: slice) -> Draw:
        """The draws of some of the images."""
        parts = (self.flip, self.vertical_flip, self.angle, self.box, self.brightness, self.contrast)
        return Draw(*(part[rows] for part in parts))


def draw(settings: Views, count: int, generator: torch.Generator) -> Draw:
    """Draw the changes of ``count`` images."""

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=generator)

    return Draw(
        flip=uniform(0, 1) < settings.flip,
        vertical_flip=uniform(0, 1) < settings.vertical_flip,
        angle=uniform(-settings.rotate, settings.rotate),
        box=_boxes(
            uniform(settings.crop, 1, TRIES),
            uniform(math.log(3 / 4), math.log(4 / 3), TRIES),
            uniform(0, 1, 2),
        ),
        brightness=uniform(1 - settings.brightness, 1 + settings.brightness),
        contrast=uniform(1 - settings.contrast, 1 + settings.contrast),
    )


def _boxes(area: Tensor, log_ratio: Tensor, place: Tensor) -> Tensor:
    """The first of each image's tries (B, TRIES) that fits inside it, at a random place (B, 2); or all of it."""
    height, width = (area * torch.exp(-log_ratio)).sqrt(), (area * torch.exp(log_ratio)).sqrt()
    fits = (height <= 1) & (width <= 1)
    first = fits.int().argmax(dim=1, keepdim=True)
    side = torch.stack([height.gather(1, first), width.gather(1, first)], dim=1).squeeze(2)
    side = torch.where(fits.any(dim=1, keepdim=True), side, 1.0)
    return torch.cat([place * (1 - side), side], dim=1)


def training_view(pixels: Tensor, settings: Views, side: int, draw: Draw) -> Tensor:
    """uint8 (B, 3, S, S) -> float32 (B, 3, side, side): crop or resize, flip, rotate, colour, normalise."""
    cropped = settings.crop < 1
    images = pixels if cropped else _resized(pixels, side)
    images = _flipped(_flipped(images, draw.flip, -1), draw.vertical_flip, -2)
    if cropped or settings.rotate:
        images = _sampled(images, side, _matrices(images.shape[-1], side, draw), settings.interpolation)
    if settings.brightness or settings.contrast:
        images = _coloured(images, draw)
    return _normalised(images, settings)


def plain_view(pixels: Tensor, settings: Views, side: int | None = None) -> Tensor:
    """uint8 (B, 3, S, S) -> float32 (B, 3, side, side): resize if need be, and normalise."""
    return _normalised(_resized(pixels, side or pixels.shape[-1]), settings)


def _resized(pixels: Tensor, side: int) -> Tensor:
    return pixels if pixels.shape[-1] == side else resize(pixels, [side, side], antialias=True)


def _flipped(images: Tensor, chosen: Tensor, dim: int) -> Tensor:
    if not chosen.any():
        return images
    images = images.clone()
    images[chosen] = images[chosen].flip(dim)
    return images


def _matrices(size: int, side: int, draw: Draw) -> Tensor:
    """For each image, the map from a pixel of the view to a place in the image, both counted from the centre.

    float (B, 2, 3): the view is a crop of the image, rotated about the crop's centre. The crop is mirrored with
    the image, and counted in the mirrored one.
    """
    top, left, height, width = draw.box.unbind(1)
    scale_y, scale_x = height * size / side, width * size / side
    angle = torch.deg2rad(draw.angle)
    cos, sin = angle.cos(), angle.sin()
    middle_y, middle_x = (top + height / 2 - 0.5) * size, (left + width / 2 - 0.5) * size
    row_x = torch.stack([scale_x * cos, -scale_x * sin, middle_x], dim=1)
    row_y = torch.stack([scale_y * sin, scale_y * cos, middle_y], dim=1)
    return torch.stack([row_x, row_y], dim=1)


def _sampled(images: Tensor, side: int, matrices: Tensor, interpolation: str) -> Tensor:
    """Read ``images`` (uint8, B x 3 x S x S) where the matrices say; black outside."""
    size, matrices = images.shape[-1], matrices.to(images.device)
    steps = torch.arange(side, device=images.device, dtype=torch.float32) - (side - 1) / 2
    x, y = steps.view(1, 1, side), steps.view(1, side, 1)
    (xx, xy, x0), (yx, yy, y0) = ([part.view(-1, 1, 1) for part in row.unbind(1)] for row in matrices.unbind(1))
    from_x, from_y = xx * x + (xy * y + x0), yx * x + (yy * y + y0)
    if interpolation == "bilinear":
        grid = torch.stack([from_x, from_y], dim=-1) * (2 / size)
        outside = "zeros" if bool(matrices[:, 0, 1].any()) else "border"  # only a rotation looks outside
        return F.grid_sample(images.float(), grid, padding_mode=outside, align_corners=False)
    # A frame of black, one pixel wide, takes all that falls outside. Gathering bytes by their number is three
    # times as fast as grid_sample on floats.
    framed = F.pad(images, (1, 1, 1, 1))
    centre = (size + 1) / 2
    column = from_x.add_(centre).clamp_(0, size + 1).round_()
    row = from_y.add_(centre).clamp_(0, size + 1).round_()
    row = row.double() if size > 4094 else row  # float32 counts to 2**24 without a gap
    number = row.mul_(size + 2).add_(column).long().flatten(1).unsqueeze(1)
    read = framed.flatten(2).gather(2, number.expand(-1, images.shape[1], -1))
    return read.view(len(images), -1, side, side)


def _coloured(images: Tensor, draw: Draw) -> Tensor:
    """Brightness, then contrast about the mean grey level (ITU-R 601), each clamped to what a pixel can hold."""
    factor = draw.brightness.to(images.device).view(-1, 1, 1, 1)
    bright = (images.float() * factor).clamp_(0, 255)
    weights = bright.new_tensor([0.2989, 0.587, 0.114]).view(1, 3, 1, 1)
    grey = (bright * weights).sum(dim=1, keepdim=True).mean(dim=(2, 3), keepdim=True)
    return torch.lerp(grey, bright, draw.contrast.to(images.device).view(-1, 1, 1, 1)).clamp_(0, 255)


def _normalised(images: Tensor, settings: Views) -> Tensor:
    std = torch.tensor(settings.std, device=images.device).view(1, 3, 1, 1)
    mean = torch.tensor(settings.mean, device=images.device).view(1, 3, 1, 1)
    scaled = images.to(torch.float32, memory_format=torch.channels_last)  # the layout that convolutions like best
    return scaled.sub_(mean * 255).div_(std * 255)
