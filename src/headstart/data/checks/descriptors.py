"""Descriptors of thumbnails for near-duplicate search: whitened low frequencies, and their tangent planes.

A descriptor is a unit vector; the cosine of two says how alike the images are. A mirrored image has the same descriptor
with the sign of every odd horizontal frequency flipped, so that mirror images are compared without computing more.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

PRIOR_WEIGHT = 200
"""Images that the prior (all frequencies alike) counts for when the statistics of a data set are estimated."""
NOISE = 0.3
"""Variance that is added to that of every direction before whitening, relative to its mean: what directions in which
the images hardly differ have of their own is mostly noise of the compression."""
SAMPLE = 2000
"""Images from which the statistics are estimated."""
SAME_SCENE = 0.99
"""Cosine of unwhitened descriptors from which on two images count as one scene in the statistics."""

TANGENTS = 5
"""Dimensions of a tangent plane: the image, two shifts and two stretches."""


def spectrum(images_nhw: Floats, frequencies: int) -> Floats:
    """Lowest frequencies of the cosine transform, without the constant: float32 (N, frequencies ** 2 - 1).

    Each is multiplied by its frequency: the amplitudes of photographs fall with its inverse (Field, 1987), so that all
    weigh about the same, as in a correlation of gradients.
    """
    side = images_nhw.shape[1]
    angles = np.pi / side * np.outer(np.arange(frequencies), np.arange(side) + 0.5)
    cosines = (np.sqrt(2 / side) * np.cos(angles)).astype(np.float32)
    cosines[0] /= np.sqrt(2)
    vertical, horizontal = np.mgrid[:frequencies, :frequencies]
    weighted = (cosines @ images_nhw @ cosines.T) * np.hypot(vertical, horizontal).astype(np.float32)
    return np.ascontiguousarray(weighted.reshape(len(images_nhw), -1)[:, 1:])


def mirror_signs(frequencies: int) -> Floats:
    """What a `spectrum` is multiplied by to become that of the mirrored images, float32 (frequencies ** 2 - 1,)."""
    signs = np.ones((frequencies, frequencies), np.float32)
    signs[:, 1::2] = -1
    return signs.reshape(-1)[1:]


def unit(vectors_nd: Floats) -> Floats:
    """Vectors scaled to length 1; zero stays zero."""
    length = np.linalg.norm(vectors_nd, axis=1, keepdims=True)
    return np.asarray(vectors_nd / np.maximum(length, 1e-6), dtype=np.float32)


def whitening(spectrum_nd: Floats, signs: Floats) -> Floats:
    """The matrix (D, D) that whitens spectra of these images, so that what they share counts for little.

    Different solar cells correlate by 0.98, for all show the same frame, and so do T-shirts on a table. After whitening
    only what is rare among the images makes two of them alike. Many frames of one scene count as one image, or the
    scene itself would be taken for what the images share. Symmetric under mirroring.
    """
    sample = unit(spectrum_nd[:: max(1, -(-len(spectrum_nd) // SAMPLE))])
    cosines = np.maximum(sample @ sample.T, (sample * signs) @ sample.T)
    weights = 1 / np.maximum(1, (cosines >= SAME_SCENE).sum(axis=1))
    moment = sum((each * weights[:, None]).T @ each for each in (sample.astype(np.float64), sample * signs)) / 2
    prior = np.eye(len(signs)) / len(signs)
    variances, directions = np.linalg.eigh((moment + PRIOR_WEIGHT * prior) / (weights.sum() + PRIOR_WEIGHT))
    scale = 1 / np.sqrt(variances + NOISE / len(signs))
    return np.asarray((directions * scale) @ directions.T, dtype=np.float32)


def tangent_planes(images_nhw: Floats, frequencies: int, whiten: Floats) -> Floats:
    """Orthonormal bases (N, D, 5) of each image's descriptor, and of its changes when it is shifted or stretched.

    The length of another descriptor's projection onto the plane is its cosine with the image after the small shift and
    crop that suits it best: the tangent distance of Simard, LeCun and Denker (1993).
    """
    down, across = (np.asarray(each, dtype=np.float32) for each in np.gradient(images_nhw, axis=(1, 2)))
    place = np.arange(images_nhw.shape[1], dtype=np.float32) - (images_nhw.shape[1] - 1) / 2
    changes = (images_nhw, across, across * place, down, down * place[:, None])
    vectors = np.stack([spectrum(each, frequencies) @ whiten for each in changes], axis=2)
    return np.asarray(np.linalg.qr(vectors)[0], dtype=np.float32)
