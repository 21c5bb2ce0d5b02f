"""Mean IoU of `segment-quick` beside segmentation_models.pytorch: the same backbone and weights, the same CPU time.

Theirs is DeepLabV3Plus on the same ImageNet weights of EfficientNet-Lite0, trained by a plain PyTorch loop: random
crops and flips of images in memory, AdamW at 1e-3 with a cosine, cross-entropy. It trains for as many CPU seconds as
the whole of ours took, validation and report too. Both are judged after the last epoch, by the same confusion matrix
over all validation pixels that are not ignored.

    pip install --no-deps segmentation-models-pytorch==0.6.0
    python benchmarks/segment.py DATA OUT [seeds, such as 0,1,2] [field=value ...]
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from pathlib import Path

import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F

import headstart as hs
from headstart.data.pixels import Pixels, decode
from headstart.data.splits import training_index
from headstart.models.backbones import build
from headstart.models.weights import load_weights
from headstart.recipes import recipe as recipes

CROP, BATCH = 256, 8


class Crops(torch.utils.data.Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Random crops of the training images, mirrored half of the time; images and masks are decoded already."""

    def __init__(self, pixels: Pixels, side: int) -> None:
        rows = pixels.index.positions("train")
        self.images, self.masks, self.side = pixels.batch(rows), pixels.masks(rows), side

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, torch.Tensor]:
        image, mask = self.images[row], self.masks[row]
        top, left = (int(torch.randint(0, max(1, n - self.side + 1), ())) for n in mask.shape)
        image, mask = (each[..., top : top + self.side, left : left + self.side] for each in (image, mask))
        if torch.rand(()) < 0.5:
            image, mask = image.flip(-1), mask.flip(-1)
        return normalized(image), mask.long()


def normalized(image: torch.Tensor) -> torch.Tensor:
    return (image.float() / 255 - 0.5) / 0.5


def theirs(pixels: Pixels, seconds: float, seed: int) -> float:
    """Their mean IoU after training for about so many CPU seconds."""
    torch.manual_seed(seed)
    classes = len(pixels.index.classes)
    model = smp.DeepLabV3Plus("timm-tf_efficientnet_lite0", encoder_weights=None, classes=classes)
    lite = build("tf_efficientnet_lite0")
    load_weights(lite, recipes.Backbone(name="tf_efficientnet_lite0", weights="imagenet-lite"))
    model.encoder.load_state_dict(lite.state_dict())
    own = model.encoder.state_dict()
    assert all(torch.equal(tensor, lite.state_dict()[name]) for name, tensor in own.items())
    model = model.to(memory_format=torch.channels_last)
    side = min(CROP, *pixels.batch([0]).shape[-2:]) // 32 * 32
    loader = torch.utils.data.DataLoader(Crops(pixels, side), BATCH, shuffle=True, drop_last=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)
    began = time.process_time()
    model.train()
    while (spent := time.process_time() - began) < seconds:
        for images, masks in loader:
            share = min(1.0, (time.process_time() - began) / seconds)
            for group in optimizer.param_groups:
                group["lr"] = 1e-3 * (1 + math.cos(math.pi * share)) / 2
            logits = model(images.to(memory_format=torch.channels_last))
            loss = F.cross_entropy(logits, masks.where(masks < classes, -100))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if share >= 1:
                break
    print(f"  theirs trained for {spent:.0f} s", flush=True)
    return miou(model.eval(), pixels, classes)


@torch.inference_mode()
def miou(model: torch.nn.Module, pixels: Pixels, classes: int) -> float:
    """Over all validation pixels; the images are padded to what the network takes."""
    total = torch.zeros(classes * classes, dtype=torch.int64)
    for row in pixels.index.positions("val"):
        image, mask = normalized(pixels.batch([row])), pixels.masks([row])[0].long()
        height, width = mask.shape
        padded = F.pad(image, (0, -width % 32, 0, -height % 32))
        predicted = model(padded).argmax(dim=1)[0, :height, :width]
        counts = mask < classes
        total += torch.bincount(mask[counts] * classes + predicted[counts], minlength=classes**2)
    matrix = total.view(classes, classes).double()
    union = matrix.sum(0) + matrix.sum(1) - matrix.diag()
    return float((matrix.diag() / union)[union > 0].mean())


def main() -> None:
    data, out = sys.argv[1], Path(sys.argv[2])
    seeds = [int(text) for text in sys.argv[3].split(",")] if len(sys.argv) > 3 else [0, 1, 2]
    changes = {"checkpoint.monitor": "last", "analysis.train_samples": 0, **recipes.read_overrides(sys.argv[4:])}
    recipe = recipes.load("segment-quick", changes)
    pixels = decode(training_index(data, recipe.data, "mask"), recipe.data)
    figures = []
    for seed in seeds:
        began = time.process_time()
        run = hs.fit("segment-quick", data, out=out / f"seed{seed}", overrides={**changes, "seed": seed})
        spent = time.process_time() - began
        mine = next(row["miou"] for row in reversed(run.metrics) if row["split"] == "val")
        other = theirs(pixels, spent, seed)
        figures.append((mine, other))
        print(f"seed {seed}: headstart {mine:.4f}, smp {other:.4f}, {spent / 60:.1f} CPU minutes each", flush=True)
    for name, each in zip(("headstart", "smp"), zip(*figures, strict=True), strict=True):
        spread = statistics.stdev(each) if len(each) > 1 else 0.0
        print(f"{name}: mean IoU {statistics.mean(each):.4f} (standard deviation {spread:.4f})")


if __name__ == "__main__":
    main()
