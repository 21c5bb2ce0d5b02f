"""Maps of features: against scikit-learn, against fits that know nothing of other epochs, and against themselves."""

from __future__ import annotations

import os
import signal
import threading

import numpy as np
import pytest
from numpy.typing import NDArray
from openTSNE import TSNE
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from headstart.metrics.embeddings import most_perplexity, pca, procrustes_align, tsne

Floats = NDArray[np.float64]
AnyFloats = NDArray[np.floating]


@pytest.fixture(scope="module")
def epochs() -> list[Floats]:
    """Handwritten digits as three epochs of features: noise first, themselves last."""
    images = load_digits().data[:600] / 16
    noise = np.random.default_rng(0).normal(size=images.shape)
    return [images * share + noise * (1 - share) * 0.4 for share in (0.1, 0.6, 1.0)]


def kept(features: Floats, layout: AnyFloats, count: int = 15) -> float:
    """The share of each point's nearest neighbors that are still among the nearest on the map."""
    near, drawn = (
        NearestNeighbors(n_neighbors=count).fit(points).kneighbors(return_distance=False)
        for points in (features, layout)
    )
    return float(np.mean([len({*one} & {*other}) / count for one, other in zip(near, drawn, strict=True)]))


def test_pca_of_one_epoch_is_scikit_learn_s_up_to_sign(epochs: list[Floats]) -> None:
    layouts, variance = pca(epochs[2:])
    oracle = PCA(2).fit(epochs[2])
    expected = oracle.transform(epochs[2])
    sign = np.sign((layouts[0] * expected).sum(axis=0))
    np.testing.assert_allclose(layouts[0] * sign, expected, atol=1e-5)
    assert variance[0] == pytest.approx(oracle.explained_variance_ratio_.sum())


def test_pca_has_one_basis_for_all_epochs(epochs: list[Floats]) -> None:
    """Two epochs that are the same but for a shift lie in the same place; a third shares their axes."""
    layouts, variance = pca([epochs[2], epochs[2] + 3, epochs[0]])
    np.testing.assert_allclose(layouts[0], layouts[1], atol=1e-8)
    assert variance[0] == pytest.approx(variance[1])
    centered = [each - each.mean(axis=0) for each in (epochs[2], epochs[2], epochs[0])]
    basis = PCA(2).fit(np.concatenate(centered)).components_
    np.testing.assert_allclose(np.abs(layouts[2]), np.abs(centered[2] @ basis.T), atol=1e-6)


@pytest.mark.slow
def test_tsne_keeps_neighbors_no_worse_than_an_independent_fit(epochs: list[Floats]) -> None:
    layouts = tsne(epochs)
    for features, layout in zip(epochs, layouts, strict=True):
        alone = np.asarray(TSNE(perplexity=30, random_state=0, n_jobs=1, neighbors="exact").fit(features))
        assert kept(features, layout) > kept(features, alone) - 0.02


@pytest.mark.slow
def test_tsne_epochs_can_be_compared(epochs: list[Floats]) -> None:
    """Points stay nearer to where they were than in maps that were made apart."""

    def moved(one: AnyFloats, other: AnyFloats) -> float:
        return float(np.linalg.norm(one - other, axis=1).mean() / np.linalg.norm(other, axis=1).mean())

    first, second = tsne([epochs[1], epochs[2]])
    apart = tsne([epochs[2]], random_state=1)[0]
    assert moved(second, first) < 0.8 * moved(apart, first)


@pytest.mark.slow
def test_tsne_gives_the_same_map_for_the_same_random_state(epochs: list[Floats]) -> None:
    one, two = (tsne([epochs[2][:300]], random_state=5)[0] for _ in range(2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.slow
def test_perplexity_beyond_what_the_points_allow_is_refused(epochs: list[Floats]) -> None:
    few = epochs[2][:91]
    assert most_perplexity(91) == 30
    assert tsne([few], perplexity=30)[0].shape == (91, 2)
    with pytest.raises(ValueError, match="needs 94 points, found 91"):
        tsne([few], perplexity=31)


def test_turning_undoes_a_rotation_and_a_mirror() -> None:
    points = np.random.default_rng(0).normal(size=(50, 2))
    angle = 1.1
    spun = points @ np.array([[np.cos(angle), np.sin(angle)], [np.sin(angle), -np.cos(angle)]]) + 7
    np.testing.assert_allclose(procrustes_align(spun, points), points - points.mean(axis=0), atol=1e-9)


def test_a_signal_takes_effect_between_the_steps_of_tsne() -> None:
    """An exception that a signal raises within openTSNE's compiled code may crash the process."""
    features = [np.random.default_rng(0).normal(size=(2500, 20)).astype(np.float32)]
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt) as caught:
        tsne(features * 5)
    timer.join()
    assert not [each.path for each in caught.traceback if "openTSNE" in str(each.path)]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
