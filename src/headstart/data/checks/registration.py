"""Registration: shift and stretch one thumbnail onto another, as undoing a crop does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

BORDER = 2
"""Pixels left out on every side: after a crop to 95 % the corners of a thumbnail of 32 pixels have moved by 1.6."""
STEPS = 2
"""Gauss-Newton steps. A third changes little."""
MAX_STRETCH, MAX_SHIFT = 0.08, 2.0
"""Largest change of width or height, relative, and largest shift, in pixels."""


def register(moving_phw: Floats, fixed_phw: Floats) -> tuple[Floats, Floats]:
    """Shift and stretch each moving image onto its fixed one: both without their borders, float32 (P, H - 4, W - 4).

    Gauss-Newton (Lucas and Kanade, 1981) on shift and stretch in both directions, gain and offset: the fixed image is
    regressed on the moved one, a constant, and the four derivatives of the moved one.
    """
    side = moving_phw.shape[1]
    inside = slice(BORDER, side - BORDER)
    target = fixed_phw[:, inside, inside]
    place = np.arange(side, dtype=np.float32)[inside] - np.float32((side - 1) / 2)
    down, across = np.gradient(moving_phw, axis=(1, 2))
    warp = np.zeros((4, len(moving_phw)), np.float32)
    """Shift and stretch across, shift and stretch down."""
    for _ in range(STEPS):
        rows, columns = _cubic(warp[2], warp[3], side), _cubic(warp[0], warp[1], side).transpose(0, 2, 1)
        moved, dx, dy = (rows @ each @ columns for each in (moving_phw, across, down))
        regressors = np.stack([moved, np.ones_like(moved), dx, dx * place, dy, dy * place[:, None]], axis=1)
        flat = regressors.reshape(len(moved), 6, -1)
        normal = flat @ flat.transpose(0, 2, 1)
        # A ridge, for images that are constant in a direction.
        normal += 1e-6 * np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.eye(6, dtype=np.float32)
        solved = np.linalg.solve(normal, flat @ target.reshape(len(moved), -1, 1))[..., 0]
        warp += (solved[:, 2:] / np.maximum(solved[:, :1], 0.2)).T
        limits = np.array([MAX_SHIFT, MAX_STRETCH, MAX_SHIFT, MAX_STRETCH], np.float32)[:, None]
        warp = np.clip(warp, -limits, limits)
    rows, columns = _cubic(warp[2], warp[3], side), _cubic(warp[0], warp[1], side).transpose(0, 2, 1)
    return np.asarray(rows @ moving_phw @ columns, dtype=np.float32), target


def _cubic(shift_p: Floats, stretch_p: Floats, side: int) -> Floats:
    """Matrices (P, side - 4, side) of bicubic interpolation (Keys, 1981) along one axis."""
    place = np.arange(BORDER, side - BORDER) - (side - 1) / 2
    position = place * (1 + stretch_p[:, None]) + shift_p[:, None] + (side - 1) / 2
    distance = np.abs(position[:, :, None] - np.arange(side)).astype(np.float32)
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((2.5 - 0.5 * distance) * distance - 4) * distance + 2
    return np.where(distance < 1, near, np.where(distance < 2, far, np.float32(0)))
