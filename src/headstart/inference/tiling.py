"""Tiled inference: images of any size in overlapping tiles, blended so that no seam shows, a band of rows at a time.

A pixel counts less the nearer it lies to its tile's edge, where the network lacks context. Tiles start at multiples of
`GRID`, so that the cells of a backbone's coarsest feature map lie where they would lie in the whole image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

GRID = 32
"""The largest stride of the backbones, in pixels: tiles start, and overlap, at its multiples."""

ReadRows = Callable[[int, int], Tensor]
"""``read_rows(top, bottom)`` returns these rows of an image: uint8 (3, bottom - top, W)."""
PredictFn = Callable[[Tensor], Tensor]
"""uint8 images (B, 3, h, w) -> probabilities, float32 (B, K, h, w) on the CPU."""


@dataclass(frozen=True)
class Tiling:
    """How an image is cut into tiles. An image that fits into one tile is predicted as a whole."""

    tile_size: int = 512
    """Side of a tile, in pixels."""
    overlap: int = 128
    """Pixels that neighboring tiles share at least, a multiple of `GRID`."""
    batch_size: int = 1
    """Tiles predicted at once."""

    def starts(self, length: int) -> list[int]:
        """Where tiles start along ``length`` pixels, evenly spaced at multiples of `GRID`.

        All tiles but the last are ``tile_size`` long; it ends with the image, less than `GRID` pixels shorter.
        """
        last = max(0, math.ceil((length - self.tile_size) / GRID))  # in multiples of GRID
        steps = max(1, math.ceil(last * GRID / (self.tile_size - self.overlap)))
        return sorted({GRID * (step * last // steps) for step in range(steps + 1)})

    def count(self, height: int, width: int) -> int:
        """Number of tiles of an image."""
        return len(self.starts(height)) * len(self.starts(width))

    def blend_window(self, length: int) -> Tensor:
        """Weight of each pixel along a tile, float32 (length,): a squared sine over ``overlap`` pixels at both ends.

        The windows of two tiles that overlap by ``overlap`` add up to one, and neither ends in a step.
        """
        ramp = (math.pi / 2 * (torch.arange(length) + 0.5) / self.overlap).clamp(max=math.pi / 2).sin().square()
        return ramp * ramp.flip(0)

    def total_weight(self, length: int) -> Tensor:
        """Sum of the windows of all tiles over each pixel along an image's side, float32 (length,)."""
        total = torch.zeros(length)
        for start in self.starts(length):
            end = min(start + self.tile_size, length)
            total[start:end] += self.blend_window(end - start)
        return total


def predict_tiled(
    read_rows: ReadRows,
    predict_fn: PredictFn,
    *,
    size: tuple[int, int],
    tiling: Tiling,
    advance: Callable[[int], object] = lambda _: None,
) -> Iterator[tuple[int, Tensor]]:
    """Probabilities of an image of ``size`` (height, width), in bands from the top: (first row, float32 (K, rows, W)).

    ``advance(n)`` is called when n more tiles are done. Memory: the probabilities of ``tile_size`` rows, and what the
    network needs for ``batch_size`` tiles.
    """
    height, width = size
    if tiling.count(height, width) == 1:
        yield 0, predict_fn(read_rows(0, height).unsqueeze(0))[0]
        advance(1)
        return
    starts = tiling.starts(height)
    total_y, total_x = tiling.total_weight(height), tiling.total_weight(width)
    overhang: Tensor | None = None  # weighted sums of rows that the next row of tiles overlaps
    for top, next_top in zip(starts, [*starts[1:], height], strict=True):
        band = read_rows(top, min(top + tiling.tile_size, height))
        sums = _weighted_sums(band, predict_fn, tiling, advance)
        if overhang is not None:
            sums[:, : overhang.shape[1]] += overhang
        complete = next_top - top
        overhang = sums[:, complete:].clone()
        yield top, sums[:, :complete].div_(total_y[top:next_top].unsqueeze(1) * total_x)


def _weighted_sums(band: Tensor, predict_fn: PredictFn, tiling: Tiling, advance: Callable[[int], object]) -> Tensor:
    """Sum of window times probabilities over one row of tiles: float32 (K, rows, W). ``band`` is uint8 (3, rows, W)."""
    height, width = band.shape[-2:]
    side, starts = tiling.tile_size, tiling.starts(width)
    window_y = tiling.blend_window(height).unsqueeze(1)
    sums: Tensor | None = None
    # Tiles of full width go in batches; the last may be narrower, and is then a batch of its own.
    full = [left for left in starts if left + side <= width]
    groups = [full[first : first + tiling.batch_size] for first in range(0, len(full), tiling.batch_size)]
    for group in [*groups, starts[len(full) :]]:
        if not group:
            continue
        probabilities = predict_fn(torch.stack([band[:, :, left : left + side] for left in group]))
        if sums is None:
            sums = torch.zeros(probabilities.shape[1], height, width)
        window = window_y * tiling.blend_window(probabilities.shape[-1])
        for left, each in zip(group, probabilities, strict=True):
            sums[:, :, left : left + side] += each * window
        advance(len(group))
    assert sums is not None
    return sums


def flip_tta(predict_fn: PredictFn, *, horizontal: bool, vertical: bool) -> PredictFn:
    """Flip test-time augmentation: the mean of ``predict_fn`` over an image and its mirror images."""
    left_right = [[], [-1]] if horizontal else [[]]
    flips: list[list[int]] = [*left_right, *([-2, *dims] for dims in left_right if vertical)]

    def averaged(images: Tensor) -> Tensor:
        total = predict_fn(images)
        for dims in flips[1:]:
            total = total + predict_fn(images.flip(dims)).flip(dims)
        return total / len(flips)

    return averaged
