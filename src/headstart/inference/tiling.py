"""Images of any size, looked at in overlapping tiles and blended so that no seam shows, a band of rows at a time.

A tile counts the less the nearer to its edge, where the network lacks what lies beyond. Tiles begin at multiples of
`GRID`, so that a backbone's coarsest map has its cells where it would have them in the whole image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

GRID = 32
"""The greatest stride of the backbones: tiles begin, and overlap, at its multiples."""

Read = Callable[[int, int], Tensor]
"""``read(top, bottom)`` gives these rows of an image: uint8 (3, bottom - top, W)."""
PredictFn = Callable[[Tensor], Tensor]
"""What a network says of images: uint8 (B, 3, h, w) -> probabilities, float32 (B, K, h, w) on the CPU."""


def tile_starts(length: int, side: int, overlap: int) -> list[int]:
    """Where tiles of ``side`` pixels begin along ``length`` pixels: evenly, neighbors sharing ``overlap`` or more.

    All but the last are ``side`` long; it ends with the image, less than `GRID` pixels shorter.
    """
    last = max(0, math.ceil((length - side) / GRID))  # in cells of the grid
    steps = max(1, math.ceil(last * GRID / (side - overlap)))
    return sorted({GRID * (step * last // steps) for step in range(steps + 1)})


def count(height: int, width: int, side: int, overlap: int) -> int:
    """How many tiles an image is looked at in."""
    return len(tile_starts(height, side, overlap)) * len(tile_starts(width, side, overlap))


def blend_window(length: int, overlap: int) -> Tensor:
    """How much each pixel along a tile counts, float32 (length,): a squared sine over ``overlap`` pixels at both ends.

    Two tiles that overlap so much add up to one, and neither ends in a step.
    """
    ramp = (math.pi / 2 * (torch.arange(length) + 0.5) / overlap).clamp(max=math.pi / 2).sin().square()
    return ramp * ramp.flip(0)


def predict_tiled(
    read: Read,
    ask: PredictFn,
    height: int,
    width: int,
    side: int = 512,
    overlap: int = 128,
    at_once: int = 1,
    done: Callable[[int], object] = lambda _: None,
) -> Iterator[tuple[int, Tensor]]:
    """The probabilities of an image, in bands from top to bottom: (first row, float32 (K, rows, W)).

    An image that fits into one tile is looked at as a whole. ``done`` is told how many tiles were looked at.
    Held in memory: the answers for ``side`` rows, and what the network needs for ``at_once`` tiles.
    """
    rows, columns = tile_starts(height, side, overlap), tile_starts(width, side, overlap)
    if len(rows) == len(columns) == 1:
        yield 0, ask(read(0, height).unsqueeze(0))[0]
        done(1)
        return
    ends = [*rows[1:], height]
    total_y, total_x = _totals(rows, height, side, overlap), _totals(columns, width, side, overlap)
    carried: Tensor | None = None
    for top, end in zip(rows, ends, strict=True):
        band = read(top, min(top + side, height))
        answers = _band(band, ask, columns, side, overlap, at_once, done)
        if carried is not None:
            answers[:, : carried.shape[1]] += carried
        final = end - top
        carried = answers[:, final:].clone()
        yield top, answers[:, :final].div_(total_y[top:end].unsqueeze(1) * total_x)


def _totals(starts: list[int], length: int, side: int, overlap: int) -> Tensor:
    """What the tiles that cover each pixel along an edge count together, float32 (length,)."""
    total = torch.zeros(length)
    for start in starts:
        end = min(start + side, length)
        total[start:end] += blend_window(end - start, overlap)
    return total


def _band(
    band: Tensor,
    ask: PredictFn,
    columns: list[int],
    side: int,
    overlap: int,
    at_once: int,
    done: Callable[[int], object],
) -> Tensor:
    """The weighted sum of the answers to one row of tiles: float32 (K, rows, W)."""
    height, width = band.shape[-2:]
    down = blend_window(height, overlap).unsqueeze(1)
    answers: Tensor | None = None
    full = [left for left in columns if left + side <= width]
    groups = [full[first : first + at_once] for first in range(0, len(full), at_once)]
    for group in [*groups, columns[len(full) :]]:  # the last tile may be narrower, and is then asked by itself
        if not group:
            continue
        said = ask(torch.stack([band[:, :, left : left + side] for left in group]))
        answers = torch.zeros(said.shape[1], height, width) if answers is None else answers
        across = blend_window(said.shape[-1], overlap)
        for left, each in zip(group, said, strict=True):
            answers[:, :, left : left + side] += each * (down * across)
        done(len(group))
    assert answers is not None
    return answers


def flip_tta(ask: PredictFn, horizontal: bool, vertical: bool) -> PredictFn:
    """``ask``, averaged over an image and its mirror images: left to right, top to bottom, and both."""
    across = [[], [-1]] if horizontal else [[]]
    ways: list[list[int]] = [*across, *([-2, *dims] for dims in across if vertical)]

    def averaged(images: Tensor) -> Tensor:
        answer = ask(images)
        for dims in ways[1:]:
            answer = answer + ask(images.flip(dims)).flip(dims)
        return answer / len(ways)

    return averaged
