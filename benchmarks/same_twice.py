"""A study of the same setting under several names: how often does it call something significant that is not?

``python benchmarks/same_twice.py FOLDER`` (several folders one after the other) encodes the images once with the
recipe's frozen weights and trains a logistic probe for each of 30 seeds and 3 label fractions. 100 studies of 3 seeds
each are then drawn from these runs: of two names (an A/A test), and of five, where anything significant counts.
"""

from __future__ import annotations

import itertools
import sys

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

from headstart.comparison.answer import headline
from headstart.comparison.study import Study, Trial
from headstart.comparison.summary import Results
from headstart.data.dataset import Dataset
from headstart.data.splits import label_subset
from headstart.models import backbones
from headstart.models.weights import load_weights
from headstart.recipes import recipe as recipes

SEEDS, FRACTIONS, STUDIES = 30, (0.1, 0.25, 0.5), 100
CHANGES = {"data.image_size": 64, "augment.sizes": []}


def predictions(folder: str) -> dict[tuple[float, int], NDArray[np.bool_]]:
    """Whether each validation image is predicted correctly, (N,), by label fraction and seed of the probe."""
    recipe = recipes.load("quick", CHANGES)
    pixels = Dataset(folder).pixels(recipe.data)
    backbone = backbones.build(recipe.backbone.name)
    load_weights(backbone, recipe.backbone)
    backbone.eval()
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (recipe.augment.mean, recipe.augment.std))
    features, every = [], np.arange(len(pixels.index))
    with torch.inference_mode():
        for start in range(0, len(pixels.index), 64):
            images = torch.from_numpy(pixels.read(every[start : start + 64])) / 255
            features.append(backbone((images - mean) / std).numpy())
    index = pixels.index
    x = PCA(64, random_state=0).fit_transform(np.concatenate(features))
    x, labels, val = x / x.std(axis=0)[0], np.array(index.labels), index.positions("val")
    made = {}
    for fraction, seed in itertools.product(FRACTIONS, range(SEEDS)):
        rows = label_subset(index, fraction, seed)
        probe = LogisticRegression(C=0.1, max_iter=200).fit(x[rows], labels[rows])
        made[fraction, seed] = probe.predict(x[val]) == labels[val]
    return made


def study_of(made: dict[tuple[float, int], NDArray[np.bool_]], names: str, random: np.random.Generator) -> Results:
    """A study of 3 seeds whose settings are all the same: each has other runs."""
    drawn = random.permutation(SEEDS)[: 3 * len(names)].reshape(len(names), 3)
    trials = [
        Trial(setting=name, fraction=fraction, labels=round(1000 * fraction), seed=k, correct=made[fraction, seed])
        for fraction in FRACTIONS
        for name, seeds in zip(names, drawn.tolist(), strict=True)
        for k, seed in enumerate(seeds)
    ]
    return Results(
        Study(
            data="same",
            classes=2,
            majority_baseline=0.5,
            settings=tuple(names),
            fractions=FRACTIONS,
            seeds=(0, 1, 2),
            trials=tuple(trials),
        ),
        resamples=1000,
    )


def main(folders: list[str]) -> None:
    for folder in folders:
        made, random = predictions(folder), np.random.default_rng(0)
        some = next(iter(made.values()))
        print(f"{folder}: {len(some)} images, accuracy {np.mean(list(made.values())):.3f}", flush=True)
        for names in ("AB", "ABCDE"):
            alone, together, best = [], 0, 0
            for _ in range(STUDIES):
                results = study_of(made, names, random)
                found = [results.difference(*each) for each in results.family]
                gaps = [each for each in found if each is not None]
                alone += [gap.pointwise.low > 0 or gap.pointwise.high < 0 for gap in gaps]
                together += any(gap.significant for gap in gaps)
                best += "is best" in headline(results)
            print(
                f"  {len(names)} names, {len(gaps)} comparisons: each alone {100 * np.mean(alone):.1f} % significant,"
                f" any of the family in {together} of {STUDIES} studies, a best setting in {best}",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:])
