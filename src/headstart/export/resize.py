"""Pillow's antialiased bilinear resize as tensor operations, bit for bit, so that an exported graph can hold it.

Pillow (`src/libImaging/Resample.c`) resizes the rows, rounds to 8 bits, then the columns; from version 13 on the
columns first where that is less work. Its weights are those of a triangle as wide as two output pixels, normalized to a
sum of one, in units of 2 ** -22. Float64 holds all of its integers, so the two products below round where Pillow
rounds, and nowhere else.
"""

from __future__ import annotations

import PIL
import torch
from torch import Tensor, nn

from headstart.data.resize import Resize

PRECISION = 1 << 22
"""Pillow's weights are integers, this many to one."""
COLUMNS_MAY_GO_FIRST = int(PIL.__version__.partition(".")[0]) >= 13
"""Which order Pillow takes changes a pixel by one here and there; the one that is installed made the predictions."""


class PillowResize(nn.Module):
    """uint8 (B, 3, H, W) of any size -> float64 (B, 3, S, S), whole numbers 0 to 255, as `data.resize` makes them.

    Equal to `headstart.data.resize.resize_to_square` for images of up to 262,144 pixels a side; longer ones are reduced
    by a whole number there, and lose their ends with ``crop``.
    """

    def __init__(self, size: int, resize: Resize) -> None:
        super().__init__()
        self.size, self.resize = size, resize

    def forward(self, images: Tensor) -> Tensor:
        height, width = _length(images, -2), _length(images, -1)
        down, across = self._lengths(height, width)
        columns = _weights(_places(images, -2), height, down, self._output(down))
        rows = _weights(_places(images, -1), width, across, self._output(across)).T
        pixels = images.to(torch.float64)
        if not COLUMNS_MAY_GO_FIRST:
            return _rows_first(pixels, rows, columns)
        less = (down < height) & (height - down > 2 * (width - across))
        resized: Tensor = torch.cond(less, _columns_first, _rows_first, (pixels, rows, columns))
        return resized

    def _lengths(self, height: Tensor, width: Tensor) -> tuple[Tensor, Tensor]:
        """Height and width that the image is resized to, before it is cropped or padded."""
        side = torch.full_like(height, self.size)
        if self.resize == "crop":
            short = torch.minimum(height, width)
            return torch.floor(height * side / short), torch.floor(width * side / short)
        if self.resize == "pad":  # PIL.ImageOps.contain
            down = torch.where(width > height, torch.round(height / width * side), side)
            return down, torch.where(height > width, torch.round(width / height * side), side)
        return side, side

    def _output(self, length: Tensor) -> Tensor:
        """Positions in the resized image, ``length`` pixels long, of the pixels of the output: float64 (S,)."""
        if self.resize == "crop":
            shift = torch.round((length - self.size) / 2)
        else:
            shift = -torch.round((self.size - length) * 0.5)
        return torch.arange(self.size, dtype=torch.float64) + shift


def _length(images: Tensor, dim: int) -> Tensor:
    """A side of the images as a float64 scalar, which an exported graph computes anew for every batch."""
    return torch.scalar_tensor(images.shape[dim], dtype=torch.float64)


def _places(images: Tensor, dim: int) -> Tensor:
    return torch.arange(images.shape[dim], dtype=torch.float64)


def _weights(pixels: Tensor, length: Tensor, resized: Tensor, output: Tensor) -> Tensor:
    """Pillow's weights of ``length`` pixels for each of the ``output``, float64 (S, length).

    Zero for positions outside of the image, ``resized`` pixels long: black.
    """
    scale = length / resized
    centers = (output + 0.5) * scale
    weights = (1 - ((pixels + 0.5 - centers[:, None]) / scale.clamp_min(1.0)).abs()).clamp_min(0)
    inside = ((output >= 0) & (output < resized)).to(torch.float64)
    total = weights.sum(dim=1, keepdim=True).clamp_min(1e-12)
    return torch.floor(weights / total * PRECISION + 0.5) * inside[:, None]


def _rows_first(pixels: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    return _round(columns @ _round(pixels @ rows))


def _columns_first(pixels: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    return _round(_round(columns @ pixels) @ rows)


def _round(sums: Tensor) -> Tensor:
    return torch.floor((sums + PRECISION / 2) / PRECISION).clamp(0, 255)
