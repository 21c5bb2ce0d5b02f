"""How long a study will take, measured on a few steps before it starts, and what fits into a given time."""

from __future__ import annotations

import math
import re
import tempfile
import time
from collections.abc import Container
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from headstart.comparison.settings import SETTINGS
from headstart.data.pixels import Pixels
from headstart.data.splits import label_subset
from headstart.errors import HeadstartError
from headstart.recipes.recipe import Recipe, override
from headstart.studies.plan import Plan, trial_name
from headstart.training.linear_probe import solve

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
    """Seconds to train on one image at the recipe's last size."""


def measure_speed(recipe: Recipe, data: str) -> Speed:
    """Train a few steps of ``recipe`` in a folder that is thrown away."""
    from headstart.training.loop import Step, train
    from headstart.training.setup import start

    plain = override(
        recipe, {"augment.sizes": [_side(recipe)], "data.exclude_overlap_with": None, "analysis.save_images": False}
    )
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


def seconds_of(recipe: Recipe, images: int, validation: int, speed: Speed, area: float) -> float:
    """What a training of ``recipe`` will take; the images of an epoch, and of validation, of ``area`` pixels each."""
    trained = images * sum(recipe.train_size(epoch) ** 2 for epoch in range(recipe.train.epochs))
    looked = area * (validation * recipe.train.epochs + recipe.analysis.train_samples * len(recipe.analysis_epochs()))
    return speed.start + speed.image * (trained + VALIDATION * looked) / _side(recipe) ** 2


def _side(recipe: Recipe) -> int:
    """Of the training images in the end, at which the speed is measured."""
    return recipe.train_size(recipe.train.epochs - 1)


class TimeEstimator:
    """What the trainings of a study take, each kind of them measured when it is first asked for."""

    def __init__(self, plan: Plan, pixels: Pixels) -> None:
        self.plan, self.pixels = plan, pixels
        self.train, self.val = (len(pixels.index.positions(split)) for split in ("train", "val"))
        self._speeds: dict[tuple[str, bool], Speed] = {}
        self._solved: dict[float, float] = {}

    def pretraining(self, recipe: Recipe, data: str) -> float:
        plan = self.plan
        alike = recipe.task == plan.recipe.task  # as fast as the trials, whose images are decoded already
        speed = self._speed(plan.recipe, plan.data) if alike else self._speed(recipe, data)
        return seconds_of(recipe, _images(recipe, data, self.pixels, plan), self.val, speed, self._area(recipe))

    def tuning(self, recipe: Recipe) -> float:
        return self._training(recipe, self.train // 5)

    def trial(self, setting: str, recipe: Recipe) -> float:
        if self.plan.masks or not (SETTINGS[setting].frozen and self.plan.tuned):
            return self._training(recipe, self.val)
        speed = self._speed(self.plan.recipe, self.plan.data)
        return (
            speed.start + VALIDATION * speed.image * len(self.pixels) + self._probe_seconds(recipe.data.label_fraction)
        )

    def _training(self, recipe: Recipe, val: int) -> float:
        speed, area = self._speed(self.plan.recipe, self.plan.data), self._area(recipe)
        if not recipe.backbone.freeze or not self.plan.masks:
            return seconds_of(recipe, self.train, val, speed, area)
        # The backbone is run once over whole images, and the decoder is trained on whole maps.
        labels = round(recipe.data.label_fraction * self.train)
        maps = VALIDATION * speed.image * area / _side(self.plan.recipe) ** 2 * (labels + val)
        decoder = self._speed(override(recipe, {"data.label_fraction": min(self.plan.fractions)}), self.plan.data)
        return speed.start + maps + decoder.image * recipe.train.epochs * (self.train + VALIDATION * val)

    def _area(self, recipe: Recipe) -> float:
        """Pixels of an image that is looked at; without masks or classes, two views of it as large as training's."""
        if recipe.task == "byol":
            return _side(recipe) ** 2
        if recipe.data.resize != "keep":
            return recipe.data.image_size**2
        return math.prod(self.pixels.batch([0]).shape[-2:])

    def _speed(self, recipe: Recipe, data: str) -> Speed:
        kind = (recipe.task, recipe.backbone.freeze)
        if kind not in self._speeds:
            self._speeds[kind] = measure_speed(override(recipe, {"backbone.weights": "none"}), data)
        return self._speeds[kind]

    def _probe_seconds(self, fraction: float) -> float:
        if fraction not in self._solved:
            index = self.pixels.index
            labels = len(label_subset(index, fraction, self.plan.seeds[0]))
            self._solved[fraction] = probe_seconds(labels, len(index.classes), self.plan.recipe)
        return self._solved[fraction]


def estimate(plan: Plan, pixels: Pixels, finished: Container[str] = ()) -> dict[str, float]:
    """Seconds of everything that is left of the study, by the names that its progress is told under.

    ``finished`` are the names of the trainings that are done: what only they need is not measured.
    """
    plan = replace(plan, settings=_unfinished_settings(plan, finished))
    stopwatch, seconds = TimeEstimator(plan, pixels), dict[str, float]()
    for recipe, data in map(plan.pretrain, plan.pretrainings()):
        if recipe.name not in finished:
            seconds[recipe.name] = stopwatch.pretraining(recipe, data)
    for setting in plan.tuned_settings():
        for _, recipe in plan.tunings(setting).values():
            if recipe.name not in finished:
                seconds[recipe.name] = stopwatch.tuning(recipe)
    for setting, fraction, seed in plan.trials():
        if trial_name(setting, fraction, seed) not in finished:
            recipe = plan.trial(setting, fraction, seed)
            seconds[recipe.name] = stopwatch.trial(setting, recipe)
    return seconds


def _unfinished_settings(plan: Plan, finished: Container[str]) -> str:
    left = {setting for setting, fraction, seed in plan.trials() if trial_name(setting, fraction, seed) not in finished}
    return "".join(setting for setting in plan.settings if setting in left)


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
            requested=plan.requested or (plan.recipe, plan.pretraining),
        )
        if (shorter.recipe, shorter.pretraining) == (plan.recipe, plan.pretraining):
            break
        plan, seconds = shorter, estimate(shorter, pixels)
    if sum(seconds.values()) > budget:
        minutes = sum(seconds.values()) / 60
        raise HeadstartError(
            f"--budget: expected at least {np.ceil(minutes):.0f}m for this grid with {LEAST_EPOCHS} epochs each, found"
            f" {budget / 60:.0f}m",
            f"--budget {np.ceil(minutes):.0f}m, fewer --settings, --labels or --seeds, or a smaller data.image_size",
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
    sizes = recipe.augment.sizes[-epochs:]
    return override(recipe, {"train.epochs": epochs, "augment.sizes": list(sizes), "analysis.epochs": []})


def _images(recipe: Recipe, data: str, pixels: Pixels, plan: Plan) -> int:
    """Images of an epoch of a pre-training."""
    if data == plan.data:
        return len(pixels.index.positions("train"))
    from headstart.data.layouts import scan

    index = scan(data, recipe.data.group_regex)
    return len(index.positions("train")) or round(len(index) * (1 - recipe.data.val_fraction))


def probe_seconds(labels: int, classes: int, recipe: Recipe) -> float:
    """Seconds to solve a probe of so many images, timed on a quarter of them, of noise."""
    from headstart.models.backbones import build, features_of

    width, random = features_of(build(recipe.backbone.name)), np.random.default_rng(0)
    some = max(labels // 4, 3 * classes)
    noise = random.normal(size=(some, width)).astype(np.float32)
    began = time.perf_counter()
    solve(noise, np.arange(some) % classes, classes)
    return (time.perf_counter() - began) * labels / some
