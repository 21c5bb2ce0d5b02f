"""Color, of a whole batch at once: gray, saturation and hue, on the scale 0 to 255."""

from __future__ import annotations

import torch
from torch import Tensor


def rgb_to_grayscale(images: Tensor) -> Tensor:
    """float (B, 3, S, S) -> gray levels (ITU-R 601), (B, 1, S, S)."""
    weights = images.new_tensor([0.2989, 0.587, 0.114]).view(1, 3, 1, 1)
    return (images * weights).sum(dim=1, keepdim=True)


def adjust_saturation(images: Tensor, factors: Tensor) -> Tensor:
    """float (B, 3, S, S): 0 is gray, 1 as it is; ``factors`` is (B,)."""
    return torch.lerp(rgb_to_grayscale(images), images, factors.view(-1, 1, 1, 1)).clamp_(0, 255)


def adjust_hue(images: Tensor, turns: Tensor) -> Tensor:
    """float (B, 3, S, S), each color turned round the wheel by its image's share of a turn, (B,).

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
