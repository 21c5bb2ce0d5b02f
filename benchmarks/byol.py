"""A step of BYOL, images per second, against byol-pytorch: two views, forward, backward, optimizer, moving average.

ResNet-18 at 64 px, 64 images at a time, the recipe `byol-resnet50`'s views and widths, Adam. Ours is the whole
training loop, from decoded pixels. byol-pytorch has the images as tensors in memory, and makes one draw of its views
for a whole batch, where ours makes one for every image. The two take turns; the ratio is of medians.

    python benchmarks/byol.py DATA [rounds] [field=value ...]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from byol_pytorch import BYOL
from byol_pytorch.byol_pytorch import RandomApply
from torchvision import models
from torchvision import transforms as T

from headstart import recipe as recipes
from headstart.loop import Epoch, Step, train
from headstart.training import Training, start

SIDE, BATCH, STEPS = 64, 64, 3
CHANGES = {
    "data.size": SIDE,
    "train.batch": BATCH,
    "train.epochs": 1000,
    "backbone.name": "resnet18.tv_in1k",
    "keep.minutes": 1e6,
}


def ours(training: Training) -> Iterator[float]:
    """Images per second over some steps of our loop, again and again."""
    events = train(training)
    while True:
        seconds, images = 0.0, 0
        for _ in range(STEPS):
            began = time.perf_counter()
            event = next(events)
            if isinstance(event, Epoch):  # what the end of an epoch costs is no part of a step
                began = time.perf_counter()
                event = next(events)
            seconds += time.perf_counter() - began
            images += event.images if isinstance(event, Step) else 0
        yield images / seconds


def theirs(training: Training) -> Iterator[float]:
    """The same with byol-pytorch, as its README has it, and the report's views."""
    views = torch.nn.Sequential(
        RandomApply(T.ColorJitter(0.8, 0.8, 0.2), p=0.3),
        T.RandomGrayscale(p=0.2),
        T.RandomHorizontalFlip(),
        RandomApply(T.GaussianBlur((3, 3), (1.0, 2.0)), p=0.2),
        T.Resize(SIDE),
        T.CenterCrop(SIDE),
        T.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    )
    learner = BYOL(models.resnet18(), image_size=SIDE, hidden_layer="avgpool", augment_fn=views)
    optimizer = torch.optim.Adam(learner.parameters(), lr=1e-4)
    pixels = training.pixels.batch(training.train_rows[:BATCH]).float() / 255
    while True:
        began = time.perf_counter()
        for _ in range(STEPS):
            loss = learner(pixels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            learner.update_moving_average()
        yield STEPS * len(pixels) / (time.perf_counter() - began)


def main() -> None:
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    recipe = recipes.load("byol-resnet50", CHANGES | recipes.read_overrides(sys.argv[3:]))
    with tempfile.TemporaryDirectory() as folder:
        training = start(recipe, sys.argv[1], Path(folder) / "run")
        one, two = ours(training), theirs(training)
        next(one), next(two)  # the first steps pay for what is made once
        figures = []
        for turn in range(rounds):
            if turn % 2:  # neither is always first
                second, first = next(two), next(one)
            else:
                first, second = next(one), next(two)
            figures.append((first, second))
            print(f"round {turn + 1}: {first:.1f} against {second:.1f} images/s", flush=True)
        one.close()
    fast, slow = (statistics.median(column) for column in zip(*figures, strict=True))
    ratios = sorted(first / second for first, second in figures)
    print(
        f"{SIDE} px: headstart {fast:.1f} images/s, byol-pytorch {slow:.1f} images/s:"
        f" {fast / slow:.2f} times (rounds: {ratios[0]:.2f} to {ratios[-1]:.2f})"
    )


if __name__ == "__main__":
    main()
