"""The training loop, images per second, against a bare PyTorch loop with the same network, batches and input.

The bare loop is what one writes by hand: views, forward, backward, step, no events, no metrics, no Fabric. The two
take turns for an epoch each; the ratio is of medians.

    python benchmarks/loop.py DATA [field=value ...]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
import torch.nn.functional as F

from headstart.data.sampling import epoch_permutation, seed_of, step_rows
from headstart.recipes import recipe as recipes
from headstart.training.loop import Step, train
from headstart.training.setup import start
from headstart.training.state import TrainState
from headstart.transforms.augment import augment
from headstart.transforms.params import sample_params

ROUNDS = 5


def ours(training: TrainState, steps: int) -> float:
    """Images per second over some steps of our loop."""
    events = train(training)
    next(events)  # the first step pays for what is made once
    began, images = time.perf_counter(), 0
    for _ in range(steps):
        event = next(events)
        assert isinstance(event, Step)
        images += event.images
    return images / (time.perf_counter() - began)


def bare(training: TrainState, steps: int) -> float:
    """The same steps by hand."""
    recipe, pixels, labels = training.recipe, training.pixels, training.labels
    network = torch.nn.Sequential(training.task.backbone, training.task.head).train()  # type: ignore[arg-type]
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.05, fused=True)
    order = training.train_rows[epoch_permutation(0, 0, len(training.train_rows))]
    images, began = 0, 0.0
    for step in range(steps + 1):
        if step == 1:
            began, images = time.perf_counter(), 0
        rows = step_rows(order, step, recipe.train.batch_size)
        chance = torch.Generator().manual_seed(seed_of("views", 0, 0, step))
        view = augment(
            pixels.batch(rows), recipe.augment, recipe.train_size(0), sample_params(recipe.augment, len(rows), chance)
        )
        loss = F.cross_entropy(network(view), labels[rows], label_smoothing=recipe.train.label_smoothing)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        images += len(rows)
    return images / (time.perf_counter() - began)


def main() -> None:
    recipe = recipes.load("quick", {"checkpoint.every_minutes": 1e6, **recipes.read_overrides(sys.argv[2:])})
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(ROUNDS):
            training = start(recipe, sys.argv[1], Path(folder) / str(turn))
            steps = min(25, training.steps - 2)
            if turn % 2:  # neither is always first
                second, first = bare(training, steps), ours(training, steps)
            else:
                first, second = ours(training, steps), bare(training, steps)
            figures.append((first, second))
            print(f"round {turn + 1}: {first:.1f} against {second:.1f} images/s", flush=True)
    fast, slow = (statistics.median(column) for column in zip(*figures, strict=True))
    ratios = sorted(one / two for one, two in figures)
    print(
        f"{recipe.train_size(0)} px: headstart {fast:.1f} images/s, bare PyTorch {slow:.1f} images/s:"
        f" {fast / slow:.3f} times (rounds: {ratios[0]:.3f} to {ratios[-1]:.3f})"
    )


if __name__ == "__main__":
    main()
