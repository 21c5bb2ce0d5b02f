"""The mean of the pseudo-values is the mean IoU, and their spread is that of a bootstrap of the mean IoU itself."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import confusion_matrix, jaccard_score

from headstart.comparison.intervals import average, difference
from headstart.metrics.pseudo_values import pseudo_values

pytestmark = pytest.mark.real_too

Ints = NDArray[np.int64]


COMMON = ("building", "clutter", "vegetation", "ground")
"""What many tiles show; pixels of water and cars, which few do, are ignored here."""


@pytest.fixture(scope="module")
def tiles(shared_data: Callable[[str], Path]) -> tuple[Ints, Ints, Ints]:
    """Aerial tiles: their classes (4: ignored), and what the class of the nearest mean color is, of 25 and 3 tiles."""
    root = shared_data("aerial")
    with (root / "class_dict.csv").open(encoding="utf-8") as table:
        colors = {row["name"]: [int(row[c]) for c in "rgb"] for row in csv.DictReader(table)}

    def read(files: list[Path]) -> tuple[NDArray[np.float64], Ints]:
        images = np.stack([np.asarray(Image.open(file).convert("RGB"))[::8, ::8] for file in files])
        masks = np.stack(
            [np.asarray(Image.open(f"{str(file)[:-8]}_mask.png").convert("RGB"))[::8, ::8] for file in files]
        )
        truth = np.full(masks.shape[:3], len(COMMON))
        for c, name in enumerate(COMMON):
            truth[(masks == colors[name]).all(axis=-1)] = c
        return images.astype(np.float64), truth

    files = sorted((root / "train").glob("*_sat.jpg"))
    images, truth = read(files[25:125])

    def guessed(known: list[Path]) -> Ints:
        seen, classes = read(known)
        means = np.stack([seen[classes == c].mean(axis=0) for c in range(len(COMMON))])
        return np.asarray(np.abs(images[:, :, :, None] - means).sum(axis=-1).argmin(axis=-1))

    return truth, guessed(files[:25]), guessed(files[4:7])


def counted(truth: Ints, predicted: Ints) -> Ints:
    """Pixels of each image by (class, predicted class), ignored ones left out."""
    return np.stack(
        [confusion_matrix(t.ravel(), p.ravel(), labels=range(4)) for t, p in zip(truth, predicted, strict=True)]
    )


def mean_iou(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of summed counts, (R, K, K)."""
    both = np.diagonal(counts, axis1=1, axis2=2)
    either = counts.sum(axis=1) + counts.sum(axis=2) - both
    ious = np.divide(both, either, out=np.full_like(both, np.nan), where=either > 0)
    mean: NDArray[np.float64] = np.nanmean(ious, axis=1)
    return mean


def bootstrapped(counts: Ints, resamples: int = 4000) -> NDArray[np.float64]:
    """Mean IoU of resampled images, each time from their summed pixels."""
    drawn = np.random.default_rng(0).multinomial(len(counts), np.full(len(counts), 1 / len(counts)), resamples)
    return mean_iou(np.einsum("rn,nij->rij", drawn, counts.astype(np.float64)))


def test_their_mean_is_the_mean_iou(tiles: tuple[Ints, Ints, Ints]) -> None:
    truth, one, _ = tiles
    counts = truth < len(COMMON)
    expected = jaccard_score(truth[counts], one[counts], average="macro")
    assert pseudo_values(counted(truth, one)).mean() == pytest.approx(expected, abs=1e-12)


def test_their_spread_is_that_of_resampled_images(tiles: tuple[Ints, Ints, Ints]) -> None:
    truth, one, two = tiles
    of_one, of_two = counted(truth, one), counted(truth, two)
    psi, other = pseudo_values(of_one), pseudo_values(of_two)
    drawn, drawn_other = bootstrapped(of_one), bootstrapped(of_two)
    n = len(psi)
    assert psi.std() / np.sqrt(n) == pytest.approx(drawn.std(), rel=0.05)
    assert (psi - other).std() / np.sqrt(n) == pytest.approx((drawn - drawn_other).std(), rel=0.08)
    low, high = np.quantile(drawn, [0.025, 0.975])
    interval, apart = average(psi), difference(psi, other).interval
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.1 * (high - low))
    low, high = np.quantile(drawn - drawn_other, [0.025, 0.975])
    assert (apart.low, apart.high) == pytest.approx((low, high), abs=0.1 * (high - low))


def test_they_are_the_derivatives(tiles: tuple[Ints, Ints, Ints]) -> None:
    counts = counted(*tiles[:2])[:8].astype(np.float64)
    psi, whole, step = pseudo_values(counts), mean_iou(counts.sum(axis=0)[None])[0], 1e-6
    for i in range(8):
        weights = 1 + step * (np.arange(8) == i)
        moved = mean_iou(np.einsum("n,nij->ij", weights, counts)[None])[0]
        assert psi[i] == pytest.approx(whole + 8 * (moved - whole) / step, abs=1e-5)


def test_classes_that_no_image_has_are_left_out_and_pixels_that_are_ignored_count_nowhere() -> None:
    """By hand: class 0 is right in 6 of 8 pixels of its union, class 1 in 2 of 4; class 2 is nowhere."""
    first = [[4, 1, 0], [0, 0, 0], [0, 0, 0]]
    second = [[2, 0, 0], [1, 2, 0], [0, 0, 0]]
    third = [[0, 0, 0]] * 3  # nothing in it but ignored pixels
    psi = pseudo_values([first, second])
    assert psi.mean() == pytest.approx((6 / 8 + 2 / 4) / 2)
    assert psi == pytest.approx(
        [0.625 + ((4 - 0.75 * 5) / 8 + (0 - 0.5 * 1) / 4), 0.625 + (2 - 0.75 * 3) / 8 + (2 - 0.5 * 3) / 4]
    )
    with_nothing = pseudo_values([first, second, third])
    assert with_nothing.mean() == pytest.approx(0.625)
    assert with_nothing[2] == pytest.approx(0.625)
    with pytest.raises(ValueError, match="expected pixels"):
        pseudo_values(np.zeros((2, 3, 3)))
    with pytest.raises(ValueError, match="expected pixels"):
        pseudo_values(np.ones((3, 3)))
