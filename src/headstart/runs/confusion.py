"""`confusion.safetensors`: pixels of each validation image by class and predicted class, at the best epoch.

One tensor ``confusion``, int64 (N, K, K), the images in the order of the validation rows of `features/images.csv`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from headstart.errors import HeadstartError
from headstart.metrics.segmentation import image_ious
from headstart.palette import Palette
from headstart.runs.folder import RunFolder

NAME = "confusion.safetensors"

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class MaskConfusions:
    """Confusion matrices of N validation images, by the best weights."""

    filenames: tuple[str, ...]
    confusion: Counts
    """(N, K, K): rows the ground truth, columns the prediction; ignored pixels left out."""
    palette: Palette

    @property
    def whole(self) -> Counts:
        """(K, K): summed over the images."""
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
        """The mean over images of each image's mean IoU (`image_ious`): not the IoU of the whole set."""
        return float(np.nanmean(image_ious(self.confusion)))

    @property
    def constant(self) -> float:
        """Majority-class baseline: the mean IoU of predicting the most frequent class for every pixel.

        Over the classes of the run's own mean IoU: those that occur in the ground truth or in its predictions.
        """
        pixels = self.whole.sum(axis=1)
        return float(pixels.max() / pixels.sum() / np.count_nonzero(pixels + self.whole.sum(axis=0)))


def write_mask_confusions(run: RunFolder, confusion: Counts) -> None:
    """Write the best epoch's confusion matrix of each validation image, int64 (N, K, K)."""
    run.write(NAME, save({"confusion": np.ascontiguousarray(confusion)}))


def read_mask_confusions(run: RunFolder) -> MaskConfusions | None:
    """Read the confusion matrices; None before the first epoch ends, and if every pixel is ignored.

    Raises HeadstartError for a broken file.
    """
    file, palette = run.path / NAME, run.palette
    if palette is None or not run.has(NAME):
        return None
    names = tuple(row["filename"] for row in run.feature_images if row["split"] == "val")
    expected = (len(names), len(palette.classes), len(palette.classes))
    try:
        with safe_open(file, "numpy") as content:
            confusion = content.get_tensor("confusion").astype(np.int64)
        found = f"{confusion.shape}"
    except Exception as error:  # safetensors and NumPy raise whatever the bytes lead them to
        confusion, found = np.zeros(0, np.int64), f"a damaged file ({error})"
    if confusion.shape != expected or not names:
        raise HeadstartError(
            f"{file}: expected a confusion matrix per validation image, {expected}, found {found}",
            run.copy_again,
        )
    return MaskConfusions(names, confusion, palette) if confusion.any() else None
