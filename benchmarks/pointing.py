"""Pointing game of the heat maps on images with masks: python benchmarks/pointing.py DATA [SIDE].

Windows of SIDE pixels are cut from the images; each is labeled with the class that fills 10 to 50 % of it and is
rarest in the data. A linear probe learns these labels on frozen EfficientNet-Lite0; then, for each validation window
that it classifies correctly, the maximum of the class's heat map hits if it lies on a pixel of the class (Zhang et
al. 2018, arXiv 1608.00507; within 15 pixels there, on the pixel itself here). Chance is the share of these pixels.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate

from headstart.data.dataset import Dataset
from headstart.data.pixels import Pixels
from headstart.models.backbones import build, features_of
from headstart.models.class_activation import class_activation_maps
from headstart.models.weights import LITE, load_weights
from headstart.recipes import recipe as recipes
from headstart.recipes.recipe import Backbone
from headstart.training.linear_probe import solve
from headstart.transforms.augment import eval_transform

LEAST, MOST = 0.1, 0.5

Masks = NDArray[np.uint8]


def windows(pixels: Pixels, split: str, side: int, rarest: list[int]) -> tuple[Tensor, Masks, NDArray[np.int64]]:
    """Windows with a label, uint8 (N, 3, side, side), their masks and labels."""
    images, masks, labels = [], [], []
    for row in pixels.index.positions(split):
        height, width = pixels.sizes[row]
        image, mask = pixels.batch([row])[0], pixels.masks([row])[0].numpy()
        for top in range(0, height - side + 1, side // 2):
            for left in range(0, width - side + 1, side // 2):
                part = mask[top : top + side, left : left + side]
                label = next((each for each in rarest if LEAST <= (part == each).mean() <= MOST), None)
                if label is not None:
                    images.append(image[:, top : top + side, left : left + side])
                    masks.append(part)
                    labels.append(label)
    return torch.stack(images), np.stack(masks), np.array(labels)


@torch.no_grad()
def encode(backbone: nn.Module, images: Tensor) -> NDArray[np.float32]:
    """Features, (N, F)."""
    return torch.cat([backbone(some) for some in images.split(64)]).numpy()


def main() -> None:
    data, side = sys.argv[1], int([*sys.argv[2:], "150"][0])
    recipe = recipes.load("segment-quick", {"data.image_size": side})
    pixels = Dataset(data).pixels(recipe.data, "mask")
    classes = list(pixels.index.classes)
    count = np.zeros(256, dtype=np.int64)
    for place in pixels.index.positions("train"):
        count += np.bincount(pixels.masks([place]).numpy().ravel(), minlength=256)
    rarest = [int(each) for each in np.argsort(count[: len(classes)]) if count[each]]
    backbone = build(LITE).eval()
    load_weights(backbone, Backbone(name=LITE, weights="imagenet-lite"))
    config = recipes.load("quick").augment
    train, _, labels = windows(pixels, "train", side, rarest)
    probe = solve(encode(backbone, eval_transform(train, config)), labels, len(classes))
    head = nn.Linear(features_of(backbone), len(classes))
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(probe.weight))
        head.bias.copy_(torch.from_numpy(probe.bias))
    images, masks, truth = windows(pixels, "val", side, rarest)
    inputs = eval_transform(images, config)
    with torch.no_grad():
        correct = np.flatnonzero(head(torch.from_numpy(encode(backbone, inputs))).argmax(dim=1).numpy() == truth)
    hits, shares = [], []
    for rows in np.split(correct, range(64, len(correct), 64)):
        found = class_activation_maps(backbone, head, inputs[rows], torch.from_numpy(truth[rows]))
        assert found is not None
        places = interpolate(found[:, None], (side, side), mode="bilinear").flatten(1).argmax(dim=1).numpy()
        of_class = (masks[rows] == truth[rows][:, None, None]).reshape(len(rows), -1)
        hits += of_class[np.arange(len(rows)), places].tolist()
        shares += of_class.mean(axis=1).tolist()
    print(f"{len(labels):,} training and {len(truth):,} validation windows, {len(correct) / len(truth):.0%} correct")
    print(f"pointing game {np.mean(hits):.1%} (asked: 70 %), chance {np.mean(shares):.1%}, {len(correct)} windows")
    for position, name in enumerate(classes):
        these = truth[correct] == position
        if these.any():
            print(f"  {name}: {np.mean(np.array(hits)[these]):.0%} of {these.sum()}")


if __name__ == "__main__":
    main()
