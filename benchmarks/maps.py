"""How long maps of features take, and what storing features cost a run: python benchmarks/maps.py [RUN ...]."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headstart.metrics.embeddings import pca, tsne
from headstart.runs.features import read_features
from headstart.runs.folder import RunFolder


def features(images: int, epochs: int) -> list[NDArray[np.float32]]:
    """Fifty classes that come apart over the epochs, 512 wide."""
    random = np.random.default_rng(0)
    middles, labels = random.normal(size=(50, 512)), random.integers(0, 50, images)
    noise = random.normal(size=(images, 512))
    return [(middles[labels] * apart + noise).astype(np.float32) for apart in np.linspace(0.1, 0.5, epochs)]


def seconds(epochs: list[NDArray[np.float32]]) -> float:
    began = time.perf_counter()
    pca(epochs)
    tsne(epochs)
    return time.perf_counter() - began


def main() -> None:
    print(f"2,500 images, 3 epochs: {seconds(features(2500, 3)):.1f} s (asked: under 30)")
    many = features(22500, 2)
    first = seconds(many[:1])
    both = seconds(many)
    print(f"22,500 x 512: first epoch {first:.1f} s (asked: under 45), next {both - first:.1f} s (asked: half of it)")
    for path in map(Path, sys.argv[1:]):
        run = RunFolder.open(path)
        looked = sum(each.seconds for each in read_features(run).epochs)
        trained = sum(row["seconds"] for row in run.metrics)
        size = (path / "report.html").stat().st_size
        cost = f"{looked:.1f} of {trained:.0f} s ({looked / trained:.2%})"
        print(f"{path}: features cost {cost}, report {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
