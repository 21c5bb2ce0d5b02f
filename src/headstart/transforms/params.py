"""Random augmentation parameters: one draw per image, made before and apart from the pixels.

So an image gets the same augmentation however many processes share the batch, and an image and its mask (or two views
of one window) can be transformed by the same draw. torchvision's transforms v2 call this step ``make_params``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from headstart.recipes.recipe import Augment

CROP_ATTEMPTS = 10
"""Crops sampled before the whole image is used, as in torchvision's RandomResizedCrop."""


@dataclass(frozen=True)
class AugmentParams:
    """Augmentation parameters of a batch of B images."""

    hflip: Tensor
    """bool (B,): flip left to right."""
    vflip: Tensor
    """bool (B,): flip top to bottom."""
    angle: Tensor
    """float (B,): rotation in degrees, counter-clockwise."""
    box: Tensor
    """float (B, 4): top, left, height and width of the crop, as fractions of the image (or window)."""
    brightness: Tensor
    """float (B,): factor."""
    contrast: Tensor
    """float (B,): factor."""
    saturation: Tensor
    """float (B,): factor."""
    hue: Tensor
    """float (B,): shift, in turns of the color wheel."""
    grayscale: Tensor
    """bool (B,): convert to grayscale."""
    blur: Tensor
    """bool (B,): apply a Gaussian blur."""
    sigma: Tensor
    """float (B,): standard deviation of the blur, in pixels."""
    solarize: Tensor
    """bool (B,): invert values in the upper half of the scale."""
    zoom: Tensor
    """float (B,): magnification of a window."""
    position: Tensor
    """float (B, 2): position of a window in the image, y and x, from 0 (top, left) to 1 (bottom, right)."""

    def select(self, rows: slice | Tensor) -> AugmentParams:
        """The parameters of some of the images."""
        return AugmentParams(*(getattr(self, field.name)[rows] for field in fields(self)))

    def with_window_from(self, other: AugmentParams) -> AugmentParams:
        """These parameters on the windows of ``other``: two views of one window."""
        return replace(self, zoom=other.zoom, position=other.position)


def sample_params(config: Augment, count: int, generator: torch.Generator) -> AugmentParams:
    """Sample the augmentation parameters of ``count`` images.

    Parameters are sampled in the order in which the project gained them, the newest last: a recipe that does not use
    the newer ones then gives the same images as before they existed.
    """

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=generator)

    def happens(probability: float) -> Tensor:
        return uniform(0, 1) < probability

    def factor(reach: float) -> Tensor:
        return uniform(1 - reach, 1 + reach)

    params = AugmentParams(
        hflip=happens(config.hflip),
        vflip=happens(config.vflip),
        angle=uniform(-config.rotate, config.rotate),
        box=_crop_boxes(
            uniform(config.crop, config.crop_max, CROP_ATTEMPTS),
            uniform(math.log(3 / 4), math.log(4 / 3), CROP_ATTEMPTS),
            uniform(0, 1, 2),
        ),
        brightness=factor(config.brightness),
        contrast=factor(config.contrast),
        saturation=factor(config.saturation),
        hue=uniform(-config.hue, config.hue),
        grayscale=happens(config.grayscale),
        blur=happens(config.blur),
        sigma=uniform(*config.blur_sigma),
        solarize=happens(config.solarize),
        zoom=torch.ones(count),
        position=torch.zeros(count, 2),
    )
    # Color jitter as a whole is applied with a probability, as in SimCLR and BYOL.
    jittered = happens(config.jitter)
    factors = {name: getattr(params, name).where(jittered, 1.0) for name in ("brightness", "contrast", "saturation")}
    params = replace(params, hue=params.hue.where(jittered, 0.0), **factors)
    # Zoom is log-uniform: as often twice as large as half as large.
    least, greatest = config.zoom
    return replace(params, zoom=uniform(math.log(least), math.log(greatest)).exp(), position=uniform(0, 1, 2))


def _crop_boxes(area: Tensor, log_ratio: Tensor, position: Tensor) -> Tensor:
    """Crop boxes (B, 4): the first attempt (B, CROP_ATTEMPTS) that fits in the image, at a random position (B, 2).

    Where no attempt fits, the box is the whole image.
    """
    height, width = (area * torch.exp(-log_ratio)).sqrt(), (area * torch.exp(log_ratio)).sqrt()
    fits = (height <= 1) & (width <= 1)
    first = fits.int().argmax(dim=1, keepdim=True)
    side = torch.stack([height.gather(1, first), width.gather(1, first)], dim=1).squeeze(2)
    side = torch.where(fits.any(dim=1, keepdim=True), side, 1.0)
    return torch.cat([position * (1 - side), side], dim=1)
