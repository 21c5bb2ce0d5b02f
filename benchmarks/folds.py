"""Coverage of 95 % intervals of cross-validation, where classifiers do learn and their training sets overlap.

``python benchmarks/folds.py`` draws small data sets, trains two ridge classifiers on each fold and seed (seeds disturb
the weights), and prints how often the intervals of accuracy and of the difference hold the mean over data sets and
seeds: without a correction, as `comparison.crossed` corrects, and by Nadeau and Bengio's formula for the mean of folds.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from headstart.comparison.crossed import Crossed

Floats = NDArray[np.float64]
Bits = NDArray[np.int64]
FEATURES = 20
OF = (np.arange(FEATURES), np.arange(5))
"""Features that the two classifiers use; the first five tell the classes apart."""


def draw(count: int, random: np.random.Generator) -> tuple[Floats, Bits]:
    """Features (N, 20) and classes 0 or 1 (N,)."""
    y = random.integers(0, 2, count)
    x = random.standard_normal((count, FEATURES))
    x[:, :5] += 0.45 * (2 * y[:, None] - 1)
    return x, y


def correct(
    train: tuple[Floats, Bits], test: tuple[Floats, Bits], features: Bits, noise: float, random: np.random.Generator
) -> NDArray[np.bool_]:
    """Whether each test image is classified correctly by ridge regression on the training images."""
    x, again = (np.c_[each[0][:, features], np.ones(len(each[0]))] for each in (train, test))
    weights = np.linalg.solve(x.T @ x + np.eye(x.shape[1]), x.T @ (2.0 * train[1] - 1))
    weights = weights + noise * np.linalg.norm(weights) / np.sqrt(len(weights)) * random.standard_normal(len(weights))
    return np.asarray((again @ weights > 0) == test[1])


def cross_validated(count: int, folds: int, seeds: int, noise: float, random: np.random.Generator) -> Floats:
    """Scores of both classifiers, (2, S, N), in the order of the folds, which have the same size."""
    x, y = draw(count, random)
    fold = np.arange(count) * folds // count
    scores = np.zeros((2, seeds, count))
    for seed in range(seeds):
        for k in range(folds):
            train, test = (x[fold != k], y[fold != k]), (x[fold == k], y[fold == k])
            for which, features in enumerate(OF):
                scores[which, seed, fold == k] = correct(train, test, features, noise, random)
    return scores


def truth(count: int, noise: float, repeats: int) -> Floats:
    """True accuracies of both, (2,), trained on ``count`` images."""
    random = np.random.default_rng(99)
    test = draw(4000, random)
    found = [
        [correct(train, test, features, noise, random).mean() for features in OF]
        for train in (draw(count, random) for _ in range(repeats))
    ]
    return np.asarray(np.mean(found, axis=0))


def main(repeats: int) -> None:
    print(f"{repeats} repeats; coverage of accuracy / difference, in per cent")
    print(
        f"{'images':>6}{'folds':>6}{'seeds':>6}{'noise':>6} | {'uncorrected':>15}{'K / (K - 1)':>15}{'folds, N&B':>15}"
    )
    cases = ((60, 5, 3, 0.1), (200, 5, 1, 0.1), (200, 5, 3, 0.1), (200, 10, 3, 0.1), (200, 5, 3, 0.4), (600, 5, 3, 0.1))
    for count, folds, seeds, noise in cases:
        true, random, held = truth(count - count // folds, noise, 1000), np.random.default_rng(1), np.zeros((3, 2))
        for _ in range(repeats):
            scores = cross_validated(count, folds, seeds, noise, random)
            for of, (weights, value) in enumerate((([1.0, 0.0], true[0]), ([1.0, -1.0], true[0] - true[1]))):
                for how, corrected in enumerate((1, folds)):
                    found = Crossed(scores, folds=corrected).contrast([weights])
                    held[how, of] += abs(found.value[0] - value) <= found.error[0] * found.quantile(0.05)[0]
                of_fold = np.tensordot(weights, scores, 1).reshape(seeds * folds, -1).mean(axis=1)
                error = of_fold.std(ddof=1) * np.sqrt(1 / len(of_fold) + 1 / (folds - 1))
                held[2, of] += abs(of_fold.mean() - value) <= error * t.ppf(0.975, len(of_fold) - 1)
        share = 100 * held / repeats
        text = "".join(f"{a:7.1f} /{b:6.1f}" for a, b in share)
        print(f"{count:6}{folds:6}{seeds:6}{noise:6.1f} | {text}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
