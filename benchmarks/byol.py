"""A step of BYOL, images per second, against byol-pytorch and lightly: two views, forward, backward, moving average.

ResNet-18 at 64 px, 64 images at a time, the recipe `byol-resnet50`'s views and widths, Adam. Ours is the whole
training loop, from decoded pixels. byol-pytorch has the images as tensors in memory, and makes one draw of its views
for a whole batch, where ours makes one for every image. lightly has its own transform, on decoded images, in two
workers. They take turns; the ratios are of medians. lightly is left out where it is not installed.

    python benchmarks/byol.py DATA [rounds] [field=value ...]
"""

from __future__ import annotations

import copy
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import torch
from byol_pytorch import BYOL
from byol_pytorch.byol_pytorch import RandomApply
from torchvision import models
from torchvision import transforms as T

from headstart.recipes import recipe as recipes
from headstart.training.loop import Epoch, Step, train
from headstart.training.setup import start
from headstart.training.state import TrainState

SIDE, BATCH, STEPS, WORKERS = 64, 64, 6, 2
CHANGES = {
    "data.image_size": SIDE,
    "train.batch_size": BATCH,
    "train.epochs": 1000,
    "backbone.name": "resnet18.tv_in1k",
    "checkpoint.every_minutes": 1e6,
}


def ours(training: TrainState) -> Iterator[float]:
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


def theirs(training: TrainState) -> Iterator[float]:
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


def lightlys(training: TrainState) -> Iterator[float]:
    """The same with lightly's building blocks, as its documentation puts them together."""
    from lightly.loss import NegativeCosineSimilarity
    from lightly.models.modules import BYOLPredictionHead, BYOLProjectionHead
    from lightly.models.utils import deactivate_requires_grad, update_momentum
    from lightly.transforms import BYOLTransform, BYOLView1Transform, BYOLView2Transform

    views = BYOLTransform(BYOLView1Transform(input_size=SIDE), BYOLView2Transform(input_size=SIDE))
    pictures = [T.functional.to_pil_image(training.pixels.batch([row])[0]) for row in training.train_rows.tolist()]

    class Pictures(torch.utils.data.Dataset[list[torch.Tensor]]):
        def __len__(self) -> int:
            return len(pictures)

        def __getitem__(self, row: int) -> list[torch.Tensor]:
            both: list[torch.Tensor] = views(pictures[row])
            return both

    def batches() -> Iterator[list[torch.Tensor]]:
        loader = torch.utils.data.DataLoader(
            Pictures(), BATCH, shuffle=True, drop_last=True, num_workers=WORKERS, persistent_workers=True
        )
        while True:
            yield from loader

    backbone = models.resnet18()
    backbone.fc = torch.nn.Identity()
    online = torch.nn.Sequential(backbone, BYOLProjectionHead(512, 4096, 256))
    predictor, target = BYOLPredictionHead(256, 4096, 256), copy.deepcopy(online)
    deactivate_requires_grad(target)
    optimizer = torch.optim.Adam([*online.parameters(), *predictor.parameters()], lr=1e-4)
    criterion, waiting = NegativeCosineSimilarity(), batches()
    while True:
        for _ in range(2 * WORKERS):  # made while the others had their turn: views that would cost nothing
            next(waiting)
        began = time.perf_counter()
        for _ in range(STEPS):
            one, two = next(waiting)
            update_momentum(online, target, m=0.99)
            with torch.no_grad():
                aims = target(one), target(two)
            loss = 0.5 * (criterion(predictor(online(one)), aims[1]) + criterion(predictor(online(two)), aims[0]))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        yield STEPS * BATCH / (time.perf_counter() - began)


def main() -> None:
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    recipe = recipes.load("byol-resnet50", CHANGES | recipes.read_overrides(sys.argv[3:]))
    with tempfile.TemporaryDirectory() as folder:
        training = start(recipe, sys.argv[1], Path(folder) / "run")
        contenders = {"headstart": ours(training), "byol-pytorch": theirs(training)}
        if find_spec("lightly"):
            contenders["lightly"] = lightlys(training)
        for each in contenders.values():
            next(each)  # the first steps pay for what is made once
        figures: dict[str, list[float]] = {name: [] for name in contenders}
        for turn in range(rounds):
            order = list(contenders) if turn % 2 else list(reversed(contenders))  # none is always first
            for name in order:
                figures[name].append(next(contenders[name]))
            said = ", ".join(f"{name} {each[-1]:.1f}" for name, each in figures.items())
            print(f"round {turn + 1}: {said} images/s", flush=True)
        contenders["headstart"].close()  # type: ignore[attr-defined]
    mine = figures.pop("headstart")
    for name, other in figures.items():
        ratios = sorted(first / second for first, second in zip(mine, other, strict=True))
        fast, slow = statistics.median(mine), statistics.median(other)
        print(
            f"{SIDE} px: headstart {fast:.1f} images/s, {name} {slow:.1f} images/s:"
            f" {fast / slow:.2f} times (rounds: {ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


if __name__ == "__main__":
    main()
