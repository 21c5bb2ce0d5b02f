"""Does `headstart predict --refuse` keep its promise on images that the threshold was not chosen on?

python benchmarks/refusal.py FOLDER [ERROR=0.05] [SIDE=96]

Encodes the images once with the frozen backbone of `quick` and trains a logistic probe on the training images. The
validation images then stand for all images that there are: 1,000 times a threshold is chosen on as many of them, drawn
with replacement, and judged on all of them, so that its true error is known. A promise is broken where more than ERROR
of the answers are wrong; at most 5 % of the drawings may break one.
"""

from __future__ import annotations

import sys
from contextlib import suppress

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from headstart.data.dataset import Dataset
from headstart.errors import HeadstartError
from headstart.metrics.refusal import choose_refusal
from headstart.models import backbones
from headstart.models.weights import load_weights
from headstart.recipes import recipe as recipes
from headstart.transforms.augment import eval_transform

DRAWINGS = 1000


def main(folder: str, error: str = "0.05", side: str = "96") -> None:
    recipe = recipes.load("quick", {"data.image_size": int(side), "augment.sizes": []})
    pixels = Dataset(folder).pixels(recipe.data)
    backbone = backbones.build(recipe.backbone.name)
    load_weights(backbone, recipe.backbone)
    backbone.eval()
    features, every = [], np.arange(len(pixels))
    with torch.inference_mode():
        for start in range(0, len(every), 64):
            batch = pixels.batch(every[start : start + 64])
            features.append(backbone(eval_transform(batch, recipe.augment)).numpy())
    x, labels = np.concatenate(features), np.array(pixels.index.labels)
    train, val = (np.array(pixels.index.positions(split)) for split in ("train", "val"))
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, max_iter=300)).fit(x[train], labels[train])
    p, truth = probe.predict_proba(x[val]), labels[val]
    wrong = p.argmax(axis=1) != truth
    random, count = np.random.default_rng(0), len(val)
    broken, answered, errors = 0, [], []
    for _ in range(DRAWINGS):
        drawn = random.integers(0, count, count)
        with suppress(HeadstartError):  # nothing is promised
            answers = ~choose_refusal(truth[drawn], p[drawn], float(error)).refuses(p)
            errors.append(wrong[answers].mean())
            broken += bool(errors[-1] > float(error))
            answered.append(answers.mean())
    print(f"{folder}: {len(val)} validation images, {wrong.mean():.1%} wrong without refusals; promised {error}")
    print(f"a promise in {len(answered)} of {DRAWINGS} drawings, broken in {broken}")
    if answered:
        print(f"answered {np.mean(answered):.1%}, wrong among them {np.mean(errors):.2%} (largest {max(errors):.2%})")


if __name__ == "__main__":
    main(*sys.argv[1:])
