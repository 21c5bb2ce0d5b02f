"""kNN accuracy, neighbor purity and silhouette of features: one value per image, so that means can be bootstrapped."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import silhouette_samples
from sklearn.neighbors import NearestNeighbors

Floats = NDArray[np.floating[Any]]
Labels = NDArray[np.int64]

NEIGHBORS = 20
"""Usual for features of ImageNet (Wu et al. 2018 and after), whose classes have more images; see `voters`."""
SILHOUETTE_SAMPLE = 2000
"""Images beyond which silhouettes are computed on a sample: their cost is quadratic."""


def nearest_neighbors(features: Floats, among: Floats | None = None, count: int = NEIGHBORS) -> NDArray[np.int64]:
    """The nearest rows of ``among`` (M, F) by cosine similarity, nearest first: int (N, min(count, M)).

    Without ``among``, the nearest other rows of ``features`` (N, F).
    """
    bank = _unit(features if among is None else among)
    most = len(bank) - (among is None)
    search = NearestNeighbors(n_neighbors=min(count, most), algorithm="brute").fit(bank)
    found = search.kneighbors(None if among is None else _unit(features), return_distance=False)
    return np.asarray(found, dtype=np.int64)


def neighbor_distances(features: Floats, among: Floats, count: int = NEIGHBORS) -> Floats:
    """Mean cosine distance, (N,), of each row of ``features`` (N, F) to its nearest rows of ``among`` (M, F)."""
    search = NearestNeighbors(n_neighbors=min(count, len(among)), algorithm="brute").fit(_unit(among))
    distances, _ = search.kneighbors(_unit(features))  # Euclidean, of unit vectors
    return np.asarray((distances**2 / 2).mean(axis=1))


def voters(bank_labels: Labels) -> int:
    """How many neighbors among images with these labels, (M,), are asked for a class: `NEIGHBORS`, or fewer.

    Fewer than a class has images, in the median over classes: of 20 images or less all would vote, on every image
    alike, and of classes with few the others would outvote even neighbors that are all near.
    """
    counts = np.unique(bank_labels, return_counts=True)[1]
    return int(np.clip(np.median(counts) - 1, 1, NEIGHBORS))


def knn_correct(near: NDArray[np.int64], bank_labels: Labels, labels: Labels) -> Floats:
    """1 where the majority class of an image's neighbors (N, K) is its own, else 0: (N,); ties go to the nearer."""
    votes = bank_labels[near]
    classes = int(max(bank_labels.max(), labels.max())) + 1
    count = np.zeros((len(near), classes))
    rank = 1 - np.arange(near.shape[1]) / (1000 * near.shape[1])  # a tie goes to the nearer
    np.add.at(count, (np.arange(len(near))[:, None], votes), rank)
    return np.asarray(count.argmax(axis=1) == labels, dtype=np.float64)


def purity(near: NDArray[np.int64], bank_labels: Labels, labels: Labels) -> Floats:
    """Share of each image's neighbors (N, K) that have its class, (N,)."""
    return np.asarray((bank_labels[near] == labels[:, None]).mean(axis=1))


def silhouettes(features: Floats, labels: Labels, seed: int = 0) -> Floats:
    """Silhouette (Rousseeuw 1987) by cosine distance, -1 to 1, of every image, or of a sample of `SILHOUETTE_SAMPLE`.

    Empty where it is undefined: with one class, or with as many classes as images.
    """
    if len(labels) > SILHOUETTE_SAMPLE:
        some = np.random.default_rng(seed).choice(len(labels), SILHOUETTE_SAMPLE, replace=False)
        features, labels = features[some], labels[some]
    if not 2 <= len(np.unique(labels)) < len(labels):
        return np.empty(0)
    return np.asarray(silhouette_samples(_unit(features), labels, metric="cosine"))


def _unit(features: Floats) -> Floats:
    return np.asarray(features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12))
