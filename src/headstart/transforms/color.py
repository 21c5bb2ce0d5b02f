"""Color transforms of a whole batch, a parameter per image, on the scale 0 to 255.

The operations are torchvision's, without its loop over the images; the tests compare them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from headstart.recipes.recipe import Augment
from headstart.transforms.params import AugmentParams


def transform_color(images: Tensor, config: Augment, params: AugmentParams) -> Tensor:
    """Brightness, contrast, saturation, hue, grayscale, blur and solarization, in this order: (B, 3, H, W) likewise.

    The result is float where any of them is enabled in ``config``, else the images as they were.
    """
    if config.brightness or config.contrast:
        images = adjust_brightness(images, params.brightness.to(images.device))
        images = adjust_contrast(images, params.contrast.to(images.device))
    if not any((config.saturation, config.hue, config.grayscale, config.blur, config.solarize)):
        return images
    images = images.float().contiguous()
    saturation, hue, sigma = (part.to(images.device) for part in (params.saturation, params.hue, params.sigma))
    _apply(images, params.saturation != 1, lambda some, rows: adjust_saturation(some, saturation[rows]))
    _apply(images, params.hue != 0, lambda some, rows: adjust_hue(some, hue[rows]))
    _apply(images, params.grayscale, lambda some, _: rgb_to_grayscale(some).expand_as(some))
    _apply(images, params.blur, lambda some, rows: gaussian_blur(some, sigma[rows], config.blur_kernel))
    _apply(images, params.solarize, lambda some, _: solarize(some))
    return images


def _apply(images: Tensor, chosen: Tensor, transform: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Transform the chosen images in place; ``transform`` takes them and their rows. The others cost nothing."""
    rows = chosen.nonzero().squeeze(1).to(images.device)
    if len(rows):
        images[rows] = transform(images[rows], rows)


def rgb_to_grayscale(images: Tensor) -> Tensor:
    """float (B, 3, H, W) -> gray levels (ITU-R BT.601), (B, 1, H, W)."""
    weights = images.new_tensor([0.2989, 0.587, 0.114]).view(1, 3, 1, 1)
    return (images * weights).sum(dim=1, keepdim=True)


def adjust_brightness(images: Tensor, factors: Tensor) -> Tensor:
    """(B, 3, H, W) -> float: each image multiplied by its factor (B,), and clamped to 0 to 255."""
    return (images.float() * factors.view(-1, 1, 1, 1)).clamp_(0, 255)


def adjust_contrast(images: Tensor, factors: Tensor) -> Tensor:
    """float (B, 3, H, W): contrast about the image's mean gray level; factors (B,), 0 is flat gray, 1 unchanged."""
    gray = rgb_to_grayscale(images).mean(dim=(2, 3), keepdim=True)
    return torch.lerp(gray, images, factors.view(-1, 1, 1, 1)).clamp_(0, 255)


def adjust_saturation(images: Tensor, factors: Tensor) -> Tensor:
    """float (B, 3, H, W): factors (B,), 0 is grayscale, 1 unchanged."""
    return torch.lerp(rgb_to_grayscale(images), images, factors.view(-1, 1, 1, 1)).clamp_(0, 255)


def adjust_hue(images: Tensor, turns: Tensor) -> Tensor:
    """float (B, 3, H, W): the hue shifted by (B,) turns of the color wheel.

    In HSV, value and saturation stay. A channel is value - chroma * clamp(min(k, 4 - k), 0, 1), where
    k = (n + 6 hue) mod 6, with n = 5, 3, 1 for red, green, blue.
    """
    red, green, blue = images.unbind(1)
    value, least = images.amax(dim=1), images.amin(dim=1)
    chroma = value - least
    whole = chroma.clamp_min(1e-9)
    sixth = torch.where(
        value == red,
        (green - blue) / whole,
        torch.where(value == green, 2 + (blue - red) / whole, 4 + (red - green) / whole),
    )
    sixth += 6 * turns.view(-1, 1, 1)
    k = (sixth.unsqueeze(1) + images.new_tensor([5.0, 3.0, 1.0]).view(1, 3, 1, 1)).remainder_(6)
    share = torch.minimum(k, 4 - k).clamp_(0, 1)
    return value.unsqueeze(1) - chroma.unsqueeze(1) * share


def gaussian_blur(images: Tensor, sigma: Tensor, kernel_size: int) -> Tensor:
    """float (B, 3, H, W), each image blurred with its own ``sigma`` (B,) by a kernel ``kernel_size`` pixels wide.

    Edges are padded by reflection. The two-dimensional Gaussian is applied as two one-dimensional convolutions: the
    same result for less arithmetic.
    """
    count, channels, height, across = images.shape
    steps = torch.arange(kernel_size, device=images.device) - kernel_size // 2
    weights = torch.exp(-0.5 * (steps / sigma.view(-1, 1)) ** 2)
    weights = (weights / weights.sum(dim=1, keepdim=True)).repeat_interleave(channels, dim=0)
    padded = F.pad(images, (kernel_size // 2,) * 4, mode="reflect").flatten(0, 1).unsqueeze(0)
    groups = count * channels
    lines = F.conv2d(padded, weights.view(groups, 1, 1, kernel_size), groups=groups)
    blurred = F.conv2d(lines, weights.view(groups, 1, kernel_size, 1), groups=groups)
    return blurred.view(count, channels, height, across)


def solarize(images: Tensor) -> Tensor:
    """float (B, 3, H, W): values in the upper half of the scale inverted."""
    return torch.where(images >= 127.5, 255 - images, images)
