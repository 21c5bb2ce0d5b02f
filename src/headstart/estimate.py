"""How long a study will take, measured on a few steps before it starts, and what fits into a given time."""

from __future__ import annotations

import re
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from headstart.data.pixels import Pixels
from headstart.data.split import labelled_part
from headstart.errors import HeadstartError
from headstart.insight.cells import SETTINGS
from headstart.plan import Plan
from headstart.probe import solve
from headstart.recipe import Recipe, override

STEPS = 5
"""Steps that are timed, after one that is not."""
LEAST_EPOCHS = 2
"""A budget shortens trainings to no fewer."""
VALIDATION = 1 / 3
"""What looking at an image costs beside training on it: forward only."""


@dataclass(frozen=True)
class Speed:
    """What was measured of one recipe on this machine."""

    start: float
    """Seconds before the first step, images being decoded already."""
    image: float
    """Seconds to train on one image at the recipe's full size."""


def measure_speed(recipe: Recipe, data: str) -> Speed:
    """Train a few steps of ``recipe`` in a folder that is thrown away."""
    from headstart.loop import Step, train
    from headstart.training import start

    plain = override(recipe, {"views.sizes": [], "data.apart_from": None, "insight.pictures": False})
    with tempfile.TemporaryDirectory() as place:
        began = time.perf_counter()
        training = start(plain, data, Path(place) / "run")
        started = time.perf_counter() - began
        events = train(training)
        first = next(events)
        began, images = time.perf_counter(), 0
        for _ in range(min(STEPS, training.steps - 1)):
            event = next(events)
            images += event.images if isinstance(event, Step) else 0
        took = time.perf_counter() - began
        if not images:  # an epoch of one step: the start told all there is to tell
            return Speed(started, started / max(1, first.images if isinstance(first, Step) else 1))
        training.progress.epoch = plain.train.epochs  # nothing is saved of it
        events.close()
    return Speed(started, took / images)


def seconds_of(recipe: Recipe, images: int, validation: int, speed: Speed) -> float:
    """What a training of ``recipe`` will take; the images of an epoch, and of validation."""
    areas = [(recipe.side(epoch) / recipe.data.size) ** 2 for epoch in range(recipe.train.epochs)]
    looked = validation * recipe.train.epochs + recipe.insight.sample * len(recipe.looked_at())
    return speed.start + speed.image * (images * sum(areas) + VALIDATION * looked)


def estimate(plan: Plan, pixels: Pixels) -> dict[str, float]:
    """Seconds of everything that the study consists of, by the names that its progress is told under."""
    index = pixels.index
    train, val = len(index.positions("train")), len(index.positions("val"))
    base = override(plan.recipe, {"backbone.weights": "none"})
    speed = measure_speed(base, plan.data)
    frozen_seconds: dict[float, float] = {}
    seconds: dict[str, float] = {}
    for kind in plan.pretrainings():
        recipe, data = plan.pretrain(kind)
        recipe = override(recipe, {"backbone.weights": "none"})
        pre = measure_speed(recipe, data) if recipe.task != base.task else speed
        seconds[recipe.name] = seconds_of(recipe, _images(recipe, data, pixels, plan), val, pre)
    for setting in plan.tuned_settings():
        for _, recipe in plan.tunings(setting).values():
            seconds[recipe.name] = seconds_of(recipe, train, train // 5, speed)
    for seed in plan.seeds:
        for fraction in plan.fractions:
            labels = len(labelled_part(index, fraction, plan.seeds[0]))
            for setting in plan.settings:
                recipe = plan.cell(setting, fraction, seed)
                if SETTINGS[setting].frozen and plan.tuned:
                    if fraction not in frozen_seconds:
                        frozen_seconds[fraction] = _solving(labels, len(index.classes), base)
                    looking = VALIDATION * speed.image * len(pixels)
                    seconds[recipe.name] = speed.start + looking + frozen_seconds[fraction]
                else:
                    seconds[recipe.name] = seconds_of(recipe, train, val, speed)
    return seconds


def fit_budget(plan: Plan, pixels: Pixels, budget: float) -> tuple[Plan, dict[str, float]]:
    """``plan`` with as many epochs as ``budget`` (in seconds) allows, and the estimate of it.

    Raises HeadstartError when even the shortest trainings take longer, naming how long.
    """
    seconds = estimate(plan, pixels)
    for _ in range(6):
        total = sum(seconds.values())
        share = min(1.0, 0.95 * budget / total)
        if share == 1.0:
            return plan, seconds
        shorter = replace(
            plan,
            recipe=_shortened(plan.recipe, share),
            pretraining=_shortened(plan.pretraining, share),
            asked=plan.asked or (plan.recipe, plan.pretraining),
        )
        if (shorter.recipe, shorter.pretraining) == (plan.recipe, plan.pretraining):
            break
        plan, seconds = shorter, estimate(shorter, pixels)
    if sum(seconds.values()) > budget:
        minutes = sum(seconds.values()) / 60
        raise HeadstartError(
            f"--budget: expected at least {np.ceil(minutes):.0f}m for this grid with {LEAST_EPOCHS} epochs each, found"
            f" {budget / 60:.0f}m",
            f"--budget {np.ceil(minutes):.0f}m, fewer --settings, --labels or --seeds, or a smaller data.size",
        )
    return plan, seconds


def read_budget(text: str) -> float:
    """``90s``, ``30m`` or ``2h`` in seconds. Raises HeadstartError for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh])", text.strip())
    if not match or not float(match.group(1)):
        raise HeadstartError(f"--budget: expected a time such as 30m or 2h, found {text}", "headstart study --help")
    return float(match.group(1)) * {"s": 1, "m": 60, "h": 3600}[match.group(2)]


def _shortened(recipe: Recipe, share: float) -> Recipe:
    epochs = max(min(LEAST_EPOCHS, recipe.train.epochs), int(recipe.train.epochs * share))
    sizes = recipe.views.sizes[-epochs:]
    return override(recipe, {"train.epochs": epochs, "views.sizes": list(sizes), "insight.epochs": []})


def _images(recipe: Recipe, data: str, pixels: Pixels, plan: Plan) -> int:
    """Images of an epoch of a pre-training."""
    if data == plan.data:
        return len(pixels.index.positions("train"))
    from headstart.data.layouts import scan

    index = scan(data, recipe.data.group)
    return len(index.positions("train")) or round(len(index) * (1 - recipe.data.val_fraction))


def _solving(labels: int, classes: int, recipe: Recipe) -> float:
    """Seconds to solve a probe of so many images, timed on a quarter of them, of noise."""
    from headstart.models.backbones import build, features_of

    width, random = features_of(build(recipe.backbone.name)), np.random.default_rng(0)
    some = max(labels // 4, 3 * classes)
    noise = random.normal(size=(some, width)).astype(np.float32)
    began = time.perf_counter()
    solve(noise, np.arange(some) % classes, classes)
    return (time.perf_counter() - began) * labels / some
