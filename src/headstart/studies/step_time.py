"""Speed of training steps on this machine, for the time that a study will take."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from headstart.data.dataset import Dataset
from headstart.recipes.recipe import Recipe, override
from headstart.tasks import Batch, Task, task_named
from headstart.training.loop import Step, train
from headstart.training.optimizer import make_optimizer
from headstart.training.ranks import make_fabric
from headstart.training.setup import start
from headstart.transforms.batch import Images, sample_views

STEPS = 2
"""Timed steps, after one of warm-up."""
BATCH = 32
"""Images per timed step, at most, unless they are small."""
PIXELS = 64 * 64**2
"""Pixels per timed step up to which it has a whole batch: a step of few small images is mostly its optimizer's, and
says of a step of twice as many that it takes half as long again as it does."""
START = 1.0
"""Seconds of a training beside building its network and its steps: files, thumbnails, features."""


@dataclass(frozen=True)
class Speed:
    """Measured speed of one recipe on this machine."""

    start: float
    """Seconds before the first step, with the images decoded."""
    image: float
    """Seconds per training image at the recipe's last size."""


def side_of(recipe: Recipe) -> int:
    """Side of the training images in the last epoch, at which the speed is measured, in pixels."""
    return recipe.train_size(recipe.train.epochs - 1)


def measure_steps(recipe: Recipe, classes: Sequence[str], side: int) -> Speed:
    """Train a few steps of ``recipe`` on noise of ``side`` x ``side`` pixels: no image is read."""
    generator, began = torch.Generator().manual_seed(0), time.perf_counter()
    fabric = make_fabric(1, 1, recipe.train.precision)
    task = task_named(recipe.task).build(recipe, classes)
    task.to(fabric.device).to(memory_format=torch.channels_last)
    optimizer = make_optimizer(task, recipe.optimizer)
    built = time.perf_counter() - began
    count = min(recipe.train.batch_size, max(BATCH, PIXELS // side**2))
    shape = (count, 3, side, side)
    noise = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator).to(fabric.device)
    masks = noise[:, 0] % len(classes) if task.needs_masks else None
    sizes = torch.full((count, 2), side) if recipe.data.resize == "keep" else None
    labels = torch.arange(count, device=fabric.device) % max(1, len(classes))
    task.train()
    timed = time.perf_counter()
    for step in range(STEPS + 1):
        batch = _batch(task, recipe, Images(noise, masks, sizes), labels, side, generator)
        with fabric.autocast() if recipe.train.precision != "32-true" else nullcontext():
            loss = task(batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        task.after_step(0.5)
        if step == 0:
            loss.item()  # waits for a GPU
            timed = time.perf_counter()
    loss.item()
    return Speed(START + 2 * built, (time.perf_counter() - timed) / (STEPS * count))


def _batch(
    task: Task, recipe: Recipe, images: Images, labels: torch.Tensor, side: int, generator: torch.Generator
) -> Batch:
    params = sample_views(recipe, task.num_views, len(images.pixels), lambda _: generator)
    first, *others = images.views(recipe, side, params)
    return Batch(first, labels, tuple(others), images.mask(side, params[0]))


def measure_run(recipe: Recipe, dataset: Dataset) -> Speed:
    """Train a few steps of ``recipe`` on its images, in a temporary folder: for a head on cached features."""
    plain = override(
        recipe, {"augment.sizes": [side_of(recipe)], "data.exclude_overlap_with": None, "analysis.save_images": False}
    )
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        training = start(plain, dataset, Path(folder) / "run")
        started = time.perf_counter() - began
        events = train(training)
        first = next(events)
        began, images = time.perf_counter(), 0
        for _ in range(min(STEPS, training.steps - 1)):
            event = next(events)
            images += event.images if isinstance(event, Step) else 0
        took = time.perf_counter() - began
        if not images:  # an epoch of one step: only the start can be timed
            return Speed(started, started / max(1, first.images if isinstance(first, Step) else 1))
        training.progress.epoch = plain.train.epochs  # nothing is saved of it
        events.close()
    return Speed(started, took / images)
