"""Planted label errors are found, by probes that have not seen the image."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from headstart.metrics.label_errors import label_errors, out_of_fold


def test_planted_errors_among_real_digits_are_ranked_first_and_flagged() -> None:
    digits = load_digits()
    features, labels = digits.data[:900], digits.target[:900].astype(np.int64)
    planted = np.zeros(len(labels), dtype=bool)
    planted[np.random.default_rng(0).permutation(len(labels))[:45]] = True
    given = np.where(planted, (labels + 3) % 10, labels)
    found = label_errors(given, out_of_fold(features, given))
    assert sorted(found.ranked) == list(range(len(labels)))
    assert planted[found.ranked[:45]].mean() > 0.8
    assert (planted & found.suspicious).sum() / planted.sum() > 0.8
    assert (found.predicted[planted] == labels[planted]).mean() > 0.9
    assert (found.ratio[found.ranked[:-1]] >= found.ratio[found.ranked[1:]]).all()


def test_a_probe_has_not_seen_the_image_it_judges_nor_others_of_its_group() -> None:
    """Noise that has nothing to do with its labels is not predicted, not even from its own copies."""
    random = np.random.default_rng(0)
    features, labels = random.normal(size=(60, 200)), np.arange(60, dtype=np.int64) % 2
    twice, both = np.concatenate([features, features]), np.concatenate([labels, labels])
    groups = [*range(60), *range(60)]
    apart, leaked = (out_of_fold(twice, both, each).argmax(axis=1) == both for each in (groups, None))
    assert leaked.mean() > 0.8
    assert apart.mean() < 0.7
    assert np.allclose(out_of_fold(twice, both, groups).sum(axis=1), 1)
