"""PCA and t-SNE of features over epochs, aligned so that the epochs can be compared."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from openTSNE import TSNEEmbedding
from openTSNE.affinity import PerplexityBasedNN
from openTSNE.nearest_neighbors import PrecomputedNeighbors
from scipy.linalg import orthogonal_procrustes
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

Floats = NDArray[np.floating[Any]]

PERPLEXITY = 30.0
DIMENSIONS = 50
"""Principal components that features are reduced to before the neighbor search, as in van der Maaten and Hinton 2008
(which took 30)."""
FFT_ABOVE = 3000
"""Points beyond which repulsion is interpolated (FIt-SNE, Linderman et al. 2019) instead of Barnes-Hut."""
PARALLEL_FROM = 1000
"""Points from which a gradient is worth two threads: with fewer each step is shorter than the wait for a busy core."""
FIRST_STEPS, NEXT_STEPS = (250, 500), (60, 200)
"""Steps with and without early exaggeration, for the first epoch and for those that start from a map."""
STEPS_TO_STOP = 20
"""Steps between two looks at whether a signal asks to stop."""


def pca(epochs: Sequence[Floats]) -> tuple[list[Floats], list[float]]:
    """Project each epoch's features (N, F) on the first two principal components of all epochs together.

    Returns a map (N, 2) per epoch, and the share of its variance on these axes. Every epoch is centered on its own
    mean, so that the components are directions in which images differ, not epochs.
    """
    centered = [features - features.mean(axis=0) for features in map(np.asarray, epochs)]
    basis = PCA(2, random_state=0).fit(np.concatenate(centered)).components_
    maps = [features @ basis.T for features in centered]
    total = [float(np.square(features).sum()) for features in centered]
    return maps, [float(np.square(m).sum() / t) if t else 0.0 for m, t in zip(maps, total, strict=True)]


def most_perplexity(points: int) -> float:
    """The largest perplexity that t-SNE allows for so many points: it uses three times as many neighbors."""
    return (points - 1) / 3


def tsne(epochs: Sequence[Floats], perplexity: float = PERPLEXITY, random_state: int = 0) -> list[Floats]:
    """t-SNE maps (N, 2) of each epoch's features (N, F), each initialized with the map before it and
    aligned to it (Procrustes).

    The same arguments give the same maps. Raises ValueError when there are fewer than 3 * perplexity + 1 points.
    """
    maps: list[Floats] = []
    for features in epochs:
        reduced = _reduced(np.asarray(features, dtype=np.float32))
        affinities = _affinities(reduced, perplexity)
        begin = reduced[:, :2] if not maps else maps[-1]
        steps = NEXT_STEPS if maps else FIRST_STEPS
        embedded = _embed(affinities, begin, steps, random_state)
        maps.append(procrustes_align(embedded, maps[-1]) if maps else embedded)
    return maps


def procrustes_align(points: Floats, onto: Floats) -> Floats:
    """Center ``points`` (N, 2), and rotate or reflect them to the least squared distance from ``onto`` (N, 2)."""
    centered, target = points - points.mean(axis=0), onto - onto.mean(axis=0)
    rotation, _ = orthogonal_procrustes(centered, target)
    return np.asarray(centered @ rotation)


def _reduced(features: Floats) -> Floats:
    """Principal components, scaled to unit length on average, so that distances compare between epochs."""
    count = min(DIMENSIONS, *features.shape)
    reduced = PCA(count, random_state=0).fit_transform(features)
    return np.asarray(reduced / max(float(np.sqrt(np.square(reduced).sum(axis=1).mean())), 1e-12))


def _affinities(points: Floats, perplexity: float) -> PerplexityBasedNN:
    """Affinities of the exact neighbors, which scikit-learn finds faster than an approximate index."""
    if perplexity > most_perplexity(len(points)):
        raise ValueError(f"perplexity {perplexity:g} needs {int(3 * perplexity) + 1} points, found {len(points)}")
    search = NearestNeighbors(n_neighbors=int(3 * perplexity), algorithm="brute").fit(points)
    distances, neighbors = search.kneighbors()
    known = PrecomputedNeighbors(neighbors, distances.astype(np.float64))
    with _signals_held_back():
        return PerplexityBasedNN(knn_index=known, perplexity=perplexity, n_jobs=-1)


def _embed(affinities: PerplexityBasedNN, begin: Floats, steps: tuple[int, int], random_state: int) -> Floats:
    """Gradient descent from ``begin`` (N, 2), scaled down, with openTSNE's learning rate (N over exaggeration)."""
    small = begin / max(float(begin[:, 0].std()), 1e-12) * 1e-4
    count = len(small)
    embedding = TSNEEmbedding(
        small,
        affinities,
        negative_gradient_method="fft" if count > FFT_ABOVE else "bh",
        random_state=random_state,
        n_jobs=-1 if count >= PARALLEL_FROM else 1,
    )
    exaggerated, free = steps
    with _signals_held_back() as received:
        embedding.optimize(
            exaggerated, exaggeration=12, momentum=0.5, learning_rate="auto", inplace=True, **_ended_by(received)
        )
        embedding.optimize(free, momentum=0.8, learning_rate="auto", inplace=True, **_ended_by(received))
    return np.asarray(embedding)


def _ended_by(received: list[int]) -> dict[str, Any]:
    """Arguments with which openTSNE stops early once a signal is ``received``."""
    return {"callbacks": lambda *_: bool(received), "callbacks_every_iters": STEPS_TO_STOP}


@contextmanager
def _signals_held_back() -> Iterator[list[int]]:
    """Signals that Python handles take effect at the end of the block; yields the list of those received.

    Their handlers may raise, as that of Ctrl-C does, and the process crashes where that is within openTSNE's compiled
    code: a gradient keeps pointers across it (a segmentation fault in 3 of 150 trials).
    """
    received: list[int] = []
    previous: dict[int, Any] = {}
    try:
        for number in (getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)):
            if callable(handler := signal.getsignal(number)):
                previous[number] = handler
                signal.signal(number, lambda number, _: received.append(number))
    except ValueError:  # not in the main thread, where no handler runs either
        previous = {}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    for number in received:
        signal.raise_signal(number)
