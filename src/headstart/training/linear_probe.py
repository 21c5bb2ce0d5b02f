"""Linear probe: multinomial logistic regression on frozen features, its L2 strength chosen by cross-validation."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from headstart.data.pixels import Pixels
from headstart.data.sampling import Rows, batches
from headstart.errors import HeadstartError
from headstart.recipes.recipe import Recipe
from headstart.tasks import EMPTY_IMAGES, Batch, Task
from headstart.training.feature_cache import plain_features
from headstart.training.state import TrainState

Floats = NDArray[np.floating[Any]]

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Candidates for the inverse L2 strength C, on features of unit variance."""
REMEMBERED = 64
"""Solved probes that are kept in memory for the trainings that start from them."""
FOLDS = 3
"""Cross-validation folds of the training images."""


@dataclass(frozen=True)
class Probe:
    """A solved probe: logits = features @ weight.T + bias."""

    weight: Floats
    """(C, D)"""
    bias: Floats
    """(C,)"""
    strength: float
    """The chosen C of scikit-learn, one over the L2 strength."""
    tried: dict[float, float]
    """C -> cross-validated accuracy on the training images; empty if a class has fewer images than folds."""

    def predict(self, features: Floats) -> NDArray[np.int64]:
        """Features, (N, D) -> the class of the highest logit, (N,)."""
        return np.asarray((features @ self.weight.T + self.bias).argmax(axis=1), dtype=np.int64)


def solve(features: Floats, labels: NDArray[np.int64], classes: int, seed: int = 0) -> Probe:
    """Fit a probe to features, float (N, D), and labels, (N,): choose C by cross-validation, then fit on all images.

    A class without images gets a bias of -1e9.
    """
    scaler = StandardScaler().fit(features)
    x = scaler.transform(features)
    # One thread: the products are so small that two threads took 6 times as long as one for (3068, 1280).
    with threadpool_limits(1):
        tried = _cross_validate(x, labels, seed)
        strength = max(tried, key=lambda c: (tried[c], -c)) if tried else 1e-2
        model = _fit(x, labels, strength)
    weight, bias = np.zeros((classes, x.shape[1])), np.full(classes, -1e9)
    coefficients, intercepts = model.coef_, model.intercept_
    if len(model.classes_) == 2:  # one row for both: the logits of a softmax are half of it, either way
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    weight[model.classes_] = coefficients / scaler.scale_
    bias[model.classes_] = intercepts - weight[model.classes_] @ scaler.mean_
    return Probe(weight, bias, strength, tried)


def start_head(task: Task, pixels: Pixels, rows: Rows, recipe: Recipe) -> None:
    """Give the head the weights of a probe on the features of the training images, without augmentation.

    Fine-tuning from there leaves less of the pre-trained features behind than from a random head: LP-FT, Kumar et al.
    2022 (arXiv 2202.10054).
    """
    features = plain_features(task, pixels, rows, recipe).of(rows)[0].cpu().numpy()
    _load(_solved(features, np.array(pixels.index.labels)[rows], task.classes, recipe.seed), task)


_probes: dict[tuple[str, int, int], Probe] = {}


def _solved(features: Floats, labels: NDArray[np.int64], classes: int, seed: int) -> Probe:
    """`solve`, once in this process for the same features: a study's fine-tuning starts from what its probe found."""
    digest = blake2b(features.tobytes() + labels.tobytes(), digest_size=16)
    key = (digest.hexdigest(), classes, seed)
    if key not in _probes:
        while len(_probes) >= REMEMBERED:
            _probes.pop(next(iter(_probes)))
        _probes[key] = solve(features, labels, classes, seed)
    return _probes[key]


def _load(probe: Probe, task: Task) -> None:
    last = task.get_submodule("head")[-1]  # type: ignore[index]
    with torch.no_grad():
        last.weight.copy_(torch.from_numpy(probe.weight))
        last.bias.copy_(torch.from_numpy(probe.bias))


def solve_head(training: TrainState) -> None:
    """Solve the probe on cached features, load it into the head, and write `probe.json`.

    Raises HeadstartError without a feature cache.
    """
    began, task, rows = time.perf_counter(), training.task, training.train_rows
    if training.feature_cache is None:
        raise HeadstartError(
            "probe.method logistic: expected probe.cache_features=true, found false", "probe.cache_features=true"
        )
    features, labels = training.feature_cache.validation(rows)[0].cpu().numpy(), training.labels[rows].numpy()
    probe = _solved(features, labels, task.classes, training.recipe.seed)
    _load(probe, task)
    with torch.no_grad():
        task.eval()
        for some in batches(rows, 512):  # metrics of the training images
            cached = training.feature_cache.validation(some)
            task(Batch(EMPTY_IMAGES, training.labels[some].to(cached[0].device), features=cached))
    if training.fabric.is_global_zero:
        seconds = round(time.perf_counter() - began, 3)
        tried = {f"{c:g}": round(accuracy, 4) for c, accuracy in probe.tried.items()}
        training.run.write_json("probe.json", {"C": probe.strength, "held_out_accuracy": tried, "seconds": seconds})


def _cross_validate(x: Floats, labels: NDArray[np.int64], seed: int) -> dict[float, float]:
    """Mean accuracy of each strength over the folds; empty if a class has fewer images than folds."""
    count = np.bincount(labels)
    if count[count > 0].min() < FOLDS:
        return {}
    folds = list(StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(x, labels))
    return {
        c: float(
            np.mean([_fit(x[fit], labels[fit], c).score(x[held_out], labels[held_out]) for fit, held_out in folds])
        )
        for c in STRENGTHS
    }


def _fit(x: Floats, labels: NDArray[np.int64], strength: float) -> LogisticRegression:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # weak penalties converge slowly
        return LogisticRegression(C=strength, max_iter=100).fit(x, labels)
