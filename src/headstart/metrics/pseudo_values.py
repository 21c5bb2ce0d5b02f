"""Pseudo-values of mean IoU: one per image, with the mean IoU as their mean, for intervals and paired differences.

Mean IoU is no mean over images: it is a function of the pixels counted over the whole set. Let image i have the weight
w_i in these counts, all equal to 1. The infinitesimal jackknife (Jaeckel 1972, *The infinitesimal jackknife*, Bell
Laboratories; Efron 1982, *The jackknife, the bootstrap and other resampling plans*, chapter 6) has its pseudo-values

    psi_i = mIoU + N dmIoU/dw_i,    dmIoU/dw_i = 1/K sum_c (I_ci - IoU_c U_ci) / U_c

with I_ci the intersection and U_ci the union of class c in image i, I_c and U_c their sums over the images, IoU_c =
I_c / U_c, and K the classes with U_c > 0. A ratio does not change when all weights are multiplied, so the derivatives
add up to 0 and the mean of the pseudo-values is mIoU, exactly. Their spread over sqrt(N) is its standard error, and the
mean of resampled pseudo-values is its bootstrap to first order. It is first order only: the IoU of a class that few
images show can vary more than this estimates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from headstart.metrics.bootstrap import Floats


def pseudo_values(confusion: ArrayLike) -> Floats:
    """Pseudo-values (N,), whose mean is the mean IoU, from the confusion matrices (N, K, K) of N images.

    Ignored pixels are left out of the matrices. A class that neither occurs nor is predicted in any image is not in the
    mean; an image without a class does not contribute to it. Raises ValueError where no pixel was counted.
    """
    counts = np.asarray(confusion, dtype=np.float64)
    if counts.ndim != 3 or counts.shape[1] != counts.shape[2] or not counts.sum():
        raise ValueError(f"expected pixels by image, class and predicted class, found the shape {counts.shape}")
    both = np.diagonal(counts, axis1=1, axis2=2)
    either = counts.sum(axis=1) + counts.sum(axis=2) - both
    known = either.sum(axis=0) > 0
    both, either = both[:, known], either[:, known]
    union = either.sum(axis=0)
    iou = both.sum(axis=0) / union
    return np.asarray(iou.mean() + len(counts) * ((both - iou * either) / union).mean(axis=1))


def class_pseudo_values(confusion: ArrayLike, number: int) -> Floats:
    """Pseudo-values (N,) of one class, whose mean is its IoU, from the confusion matrices (N, K, K) of N images.

    Give only images that show the class, or are said to: the others change nothing but N. A class that no image shows
    has the value 0. See `pseudo_values` for the formula.
    """
    counts = np.asarray(confusion, dtype=np.float64)
    both = counts[:, number, number]
    either = counts[:, number].sum(axis=1) + counts[:, :, number].sum(axis=1) - both
    union = either.sum()
    if not union:
        return np.zeros(len(counts))
    iou = both.sum() / union
    return np.asarray(iou + len(counts) * (both - iou * either) / union)
