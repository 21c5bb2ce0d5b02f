"""Label errors: out-of-fold probabilities of a linear probe, and the labels that contradict them.

Confident learning (Northcutt, Jiang and Chuang 2021, arXiv 1911.00068), by cleanlab, says which labels are likely
wrong; the likelihood ratio of the predicted class and the given one says in which order to look at them.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

Floats = NDArray[np.floating[Any]]
Labels = NDArray[np.int64]

FOLDS = 5
STRENGTH = 1e-3
"""C of scikit-learn, on features of unit variance. Stronger than what predicts best: a probe that fits wrong labels
defends them (benchmarks/label_errors.py: of 1e-4 to 1e-1 this one finds most of the planted ones)."""
LEAST = 1e-6
"""Probabilities below count as this one in a ratio."""


@dataclass(frozen=True)
class LabelErrors:
    """What out-of-fold probabilities say of N labels."""

    ranked: NDArray[np.int64]
    """Positions of all images, the most suspicious label first."""
    suspicious: NDArray[np.bool_]
    """(N,): the labels that confident learning takes for wrong."""
    predicted: Labels
    """(N,): the most probable class other than the label."""
    ratio: Floats
    """(N,): how many times as probable that class is as the label."""


def out_of_fold(features: Floats, labels: Labels, groups: Sequence[int] | None = None, seed: int = 0) -> Floats:
    """Probabilities, (N, C), of a linear probe that has not seen the image: features (N, D), labels (N,) in 0..C-1.

    Every class needs `FOLDS` images. Images of one of ``groups`` are in one fold.
    """
    probabilities = np.zeros((len(labels), int(labels.max()) + 1))
    folds = StratifiedKFold if groups is None else StratifiedGroupKFold
    # One thread: the products are so small that two took 6 times as long.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", UserWarning)  # of a class in fewer groups than folds
        for fit, held_out in folds(FOLDS, shuffle=True, random_state=seed).split(features, labels, groups):
            probe = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=100))
            probe.fit(features[fit], labels[fit])
            # A class all of whose groups are in this fold is unknown to its probe.
            probabilities[np.ix_(held_out, probe.classes_)] = probe.predict_proba(features[held_out])
    return probabilities


def label_errors(labels: Labels, probabilities: Floats) -> LabelErrors:
    """Judge labels, (N,), by out-of-fold probabilities, (N, C): every class has images."""
    from cleanlab.filter import find_label_issues  # of the extra `labels`

    rows = np.arange(len(labels))
    others = probabilities.copy()
    others[rows, labels] = -1
    predicted = others.argmax(axis=1)
    ratio = np.maximum(others[rows, predicted], LEAST) / np.maximum(probabilities[rows, labels], LEAST)
    suspicious = find_label_issues(labels, probabilities, n_jobs=1)
    # Of equal ratios the first image comes first.
    return LabelErrors(np.argsort(-ratio, kind="stable"), np.asarray(suspicious, dtype=bool), predicted, ratio)
