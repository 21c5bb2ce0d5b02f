"""Whether files look like masks: a few flat colors, unlike any photograph. Told from a sample of their pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.data.decode import Unreadable, with_image

SAMPLED = 4
"""Files looked at per folder."""
MAX_SIDE = 512
"""Larger images are looked at in a cut-out of this side from their middle."""
FEW_COLORS = 64
"""An image of at most so many colors, in large flat areas, looks like a mask."""
FLAT, NEARLY_FLAT, DOMINANT = 0.6, 0.9, 0.97
"""Least share of pixels that equal their neighbors; of those that do so within 8 levels, and of the 16 most common
coarse colors, both asked of masks that are blurred."""


def looks_like_mask(file: Path) -> bool | None:
    """Whether an image file looks like a mask; None if it cannot be read."""
    try:
        return with_image(file, _looks_flat, per_pixel=0)
    except Unreadable:
        return None


def sample(paths: Sequence[str]) -> list[str]:
    """A few of the paths, spread over all."""
    return [paths[round(at * (len(paths) - 1) / max(1, SAMPLED - 1))] for at in range(min(SAMPLED, len(paths)))]


def look_like_masks(paths: Sequence[str], likeness: Callable[[str], bool | None]) -> bool:
    """Whether a sample of ``paths`` looks like masks, but for one; also where none can be read: their use says why."""
    unlike = 0
    for path in sample(paths):
        unlike += likeness(path) is False
        if unlike > 1 or (unlike and len(paths) < SAMPLED):
            return False  # without a look at the others: photographs are large
    return True


def _looks_flat(image: Image.Image, _: bytes) -> bool:
    image.draft(None, (2 * MAX_SIDE, 2 * MAX_SIDE))  # of a large JPEG, a fraction is decoded
    width, height = image.size
    left, top = max(0, (width - MAX_SIDE) // 2), max(0, (height - MAX_SIDE) // 2)
    cut = image.crop((left, top, min(width, left + MAX_SIDE), min(height, top + MAX_SIDE)))
    if cut.mode in ("I", "F") or cut.mode.startswith("I;"):  # numbers: many of them are no classes
        values = np.asarray(cut).astype(np.float64)[..., None]
    else:
        # With a palette its numbers count, with transparency the colors under it.
        values = np.asarray(cut if cut.mode in ("L", "P", "1") else cut.convert("RGBA")).astype(np.int16)
        values = values.reshape(*values.shape[:2], -1)
    steps = [np.abs(np.diff(values, axis=axis)).max(axis=-1) for axis in (0, 1) if values.shape[axis] > 1]
    if min((float((step == 0).mean()) for step in steps), default=1.0) < FLAT:
        return False
    colors = values.reshape(-1, values.shape[-1])
    if len(np.unique(_coded(colors, 256))) <= FEW_COLORS:
        return True
    # JPEG blurs colors by a few levels, smooth resizing at the edges: coarse colors are few all the same.
    counts = np.unique(_coded((colors + 16) // 32, 16), return_counts=True)[1]
    dominant = np.sort(counts)[::-1][:16].sum() / counts.sum()
    return bool(steps and (steps[-1] <= 8).mean() >= NEARLY_FLAT and dominant >= DOMINANT)


def _coded(colors: NDArray[Any], base: int) -> NDArray[Any]:
    """One number per color (N, C), for much faster sorting."""
    weights = base ** np.arange(colors.shape[-1], dtype=np.int64)
    coded: NDArray[Any] = colors.astype(np.float64) @ weights
    return coded
