"""Sharpness of images: how much of an image's structure is at its finest scale."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import laplace

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in a gray value (ITU-R BT.601)."""
FLAT = 1e-3
"""Variance, of gray values from 0 to 255, that counts as none."""


def sharpness(image: NDArray[np.uint8]) -> float:
    """Log ratio of the variance of the Laplacian of an image (H, W, 3) to that of the image at half its size.

    The variance of the Laplacian (Pech-Pacheco et al. 2000) hangs on what an image shows; beside that of the next scale
    it tells blur from a picture of few edges. 0 for a flat image, and for one of less than six pixels.
    """
    gray = image.astype(np.float64) @ np.array(LUMA)
    height, width = (side // 2 * 2 for side in gray.shape)
    if min(height, width) < 6:
        return 0.0
    half = gray[:height, :width].reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
    return float(np.log((_laplacian(gray) + FLAT) / (_laplacian(half) + FLAT)))


def _laplacian(gray: NDArray[np.floating[Any]]) -> float:
    return float(laplace(gray).var())
