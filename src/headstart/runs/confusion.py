"""What the kept weights made of the validation images' pixels, read back from a run of masks, image by image.

The figures of the whole set are those of `analysis.iou`; here is what is told of single images, and of pairs of classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from headstart.errors import HeadstartError
from headstart.metrics.segmentation import iou, mean_iou
from headstart.palette import Palette
from headstart.runs.folder import RunFolder

WORST, BEST = 12, 4
"""Images whose masks are kept to look at, at the most: those labeled worst, and best."""
SPECK = 0.001
"""A class with less than this share of an image, in truth and answer together, says nothing of how well it went."""

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class MaskConfusions:
    """Pixels of N validation images by (class, predicted class), by the kept weights."""

    filenames: tuple[str, ...]
    confusion: Counts
    """(N, K, K): rows the truth, columns the answer; ignored pixels left out."""
    palette: Palette

    @property
    def whole(self) -> Counts:
        """(K, K): of all images together."""
        return np.asarray(self.confusion.sum(axis=0))

    @property
    def counted(self) -> Counts:
        """(N,): pixels of each image that are not ignored."""
        return np.asarray(self.confusion.sum(axis=(1, 2)))

    @property
    def wrong(self) -> Counts:
        """(N,): wrong pixels of each image."""
        return np.asarray(self.counted - self.confusion.trace(axis1=1, axis2=2))

    @property
    def mean_of_images(self) -> float:
        """The mean of each image's own mean IoU: another convention, under which the same masks get another figure."""
        return float(np.nanmean(mean_iou(self.confusion)))

    @property
    def constant(self) -> float:
        """The mean IoU of answering every pixel with the commonest class."""
        shares = self.whole.sum(axis=1) / self.whole.sum()
        return float(shares.max() / np.count_nonzero(shares))


@dataclass(frozen=True)
class Confused:
    """Pixels of one class that were taken for another."""

    truth: str
    answer: str
    pixels: int
    of_class: float
    """Share of the class's pixels."""
    of_wrong: float
    """Share of all wrong pixels."""


def read_mask_confusions(run: RunFolder) -> MaskConfusions | None:
    """The run's `confusion.safetensors`; None before there is one, and where every pixel is ignored.

    Raises HeadstartError for a broken file.
    """
    file, palette = run.path / "confusion.safetensors", run.palette
    if palette is None or not file.is_file():
        return None
    names = tuple(row["filename"] for row in run.looked_at if row["split"] == "val")
    expected = (len(names), len(palette.classes), len(palette.classes))
    try:
        with safe_open(file, "numpy") as content:
            confusion = content.get_tensor("confusion").astype(np.int64)
        found = f"{confusion.shape}"
    except (OSError, SafetensorError) as error:
        confusion, found = np.zeros(0, np.int64), f"a damaged file ({error})"
    if confusion.shape != expected or not names:
        raise HeadstartError(
            f"{file}: expected a confusion matrix per validation image, {expected}, found {found}",
            f"remove the file, or headstart fit {run.path / 'recipe.toml'} {run.data['root']} (a new run)",
        )
    return MaskConfusions(names, confusion, palette) if confusion.any() else None


def image_ious(confusion: Counts) -> Floats:
    """(N, K, K) -> (N,): mean IoU of the classes in each image, specks left out; NaN where every pixel is ignored."""
    either = confusion.sum(axis=1) + confusion.sum(axis=2) - np.diagonal(confusion, axis1=1, axis2=2)
    seen = either >= SPECK * confusion.sum(axis=(1, 2))[:, None]
    ious = np.where(seen, iou(confusion), np.nan)
    some = (~np.isnan(ious)).sum(axis=1)
    means: Floats = np.divide(np.nansum(ious, axis=1), some, out=np.full(len(ious), np.nan), where=some > 0)
    return means


def worst_and_best(figures: Floats) -> tuple[list[int], list[int]]:
    """The images to look at, by the figure of each, (N,): the worst first, and the best first; none is both."""
    order = [int(row) for row in np.argsort(figures, kind="stable") if not np.isnan(figures[row])]
    half = -(-len(order) // 2)
    return order[: min(WORST, half)], order[half:][::-1][:BEST]


def confused(confusion: Counts, classes: tuple[str, ...]) -> list[Confused]:
    """Every pair of classes that was confused, most pixels first; ``confusion`` is (K, K)."""
    of_class = confusion.sum(axis=1)
    wrong = int(confusion.sum() - confusion.trace())
    pairs = [
        Confused(classes[i], classes[j], int(confusion[i, j]), confusion[i, j] / of_class[i], confusion[i, j] / wrong)
        for i, j in zip(*np.nonzero(confusion), strict=True)
        if i != j
    ]
    return sorted(pairs, key=lambda pair: -pair.pixels)
