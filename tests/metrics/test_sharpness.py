"""Sharpness: its formula against scipy's convolution, and what it is for."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy.ndimage import convolve
from skimage import data

from headstart.metrics.sharpness import sharpness


def picture(name: str) -> NDArray[np.uint8]:
    return np.asarray(getattr(data, name)())


def laplacian_variance(gray: NDArray[np.float64]) -> float:
    return float(convolve(gray, np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])).var())


def test_it_is_the_log_ratio_of_two_scales() -> None:
    photo = Image.fromarray(picture("astronaut")).resize((64, 48))
    gray = np.asarray(photo) @ np.array([0.299, 0.587, 0.114])
    half = (gray[::2, ::2] + gray[1::2, ::2] + gray[::2, 1::2] + gray[1::2, 1::2]) / 4
    expected = np.log(laplacian_variance(gray) / laplacian_variance(half))
    assert sharpness(np.asarray(photo)) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "rocket"])
def test_blur_lowers_it_whatever_the_picture_shows(name: str) -> None:
    photo = Image.fromarray(picture(name)[:400, :400]).resize((96, 96))
    sharp, slight, strong = (
        sharpness(np.asarray(photo.filter(ImageFilter.GaussianBlur(radius)))) for radius in (0, 0.6, 1.2)
    )
    assert strong < slight - 0.3 < sharp - 0.6


def test_a_flat_picture_has_none() -> None:
    assert sharpness(np.full((32, 32, 3), 77, np.uint8)) == pytest.approx(0, abs=1e-6)
    assert sharpness(np.full((4, 4, 3), 77, np.uint8)) == 0
