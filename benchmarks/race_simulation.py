"""How often does a race of backbones drop the true best, of made-up predictions? race_simulation.py [RACES]

Five backbones over three rounds: images are harder or easier for all, and for each backbone on its own; seeds add noise
with fewer than all labels. `compare` sees what a race sees: the same images in all rounds.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from headstart.comparison.race import compare

ROUNDS = ((0.25, 2), (0.5, 2), (1.0, 1))
"""Label fraction and seeds of each round."""
LOST = {0.25: 0.08, 0.5: 0.04, 1.0: 0.0}
"""Accuracy that fewer labels cost."""
CASES = {
    "five equal": (0.8, 0.8, 0.8, 0.8, 0.8),
    "best by 1 point": (0.81, 0.8, 0.8, 0.8, 0.8),
    "best by 3 points": (0.83, 0.8, 0.79, 0.78, 0.6),
    "near 1": (0.99, 0.985, 0.985, 0.98, 0.9),
}


def dropped_of(accuracy: tuple[float, ...], images: int, random: np.random.Generator) -> set[int]:
    """The backbones that a race drops."""
    count = len(accuracy)
    shared, own = random.normal(size=images), random.normal(size=(count, 1, images))
    left, dropped = list(range(count)), set[int]()
    for fraction, seeds in ROUNDS:
        noise = random.normal(size=(count, seeds, images)) * (0.5 if fraction < 1 else 0.2)
        score: NDArray[np.float64] = shared + 0.6 * own + noise
        spread = np.sqrt(1 + 0.36 + (0.25 if fraction < 1 else 0.04))
        edge = spread * norm.ppf(np.array(accuracy) - LOST[fraction])[:, None, None]
        found = compare((score < edge)[left], rounds=len(ROUNDS), resamples=500)
        gone = [left[each] for each in found.worse(0.0 if fraction == 1 else 0.02)]
        dropped |= set(gone)
        left = [each for each in left if each not in gone]
    return dropped


def main(races: int) -> None:
    """A row for each case and number of images."""
    print(f"{'case':18}{'images':>7}  best dropped (of {races})  worst dropped")
    for name, accuracy in CASES.items():
        for images in (60, 341, 1000):
            random = np.random.default_rng(images)
            found = [dropped_of(accuracy, images, random) for _ in range(races)]
            worst = len(accuracy) - 1
            print(
                f"{name:18}{images:7}  {sum(0 in each for each in found):17}  {sum(worst in each for each in found):13}"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
