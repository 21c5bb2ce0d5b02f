"""The time a study will take, measured on a few steps before it starts, and the epochs that fit a budget."""

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
from headstart.data.dataset import Dataset
from headstart.data.splits import label_subset
from headstart.errors import HeadstartError
from headstart.models.backbones import build, features_of
from headstart.recipes.recipe import Recipe, override
from headstart.studies.plan import Plan, trial_name
from headstart.training.linear_probe import solve
from headstart.training.loop import Step, train
from headstart.training.setup import start

STEPS = 5
"""Timed steps, after one of warm-up."""
LEAST_EPOCHS = 2
"""The fewest epochs that a budget shortens a training to."""
VALIDATION = 1 / 3
"""Cost of validating an image relative to training on it: forward only."""


@dataclass(frozen=True)
class Speed:
    """Measured speed of one recipe on this machine."""

    start: float
    """Seconds before the first step, with the images decoded."""
    image: float
    """Seconds per training image at the recipe's last size."""


def measure_speed(recipe: Recipe, dataset: Dataset) -> Speed:
    """Train a few steps of ``recipe`` in a temporary folder."""
    plain = override(
        recipe, {"augment.sizes": [_side(recipe)], "data.exclude_overlap_with": None, "analysis.save_images": False}
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


def seconds_of(recipe: Recipe, images: int, validation: int, speed: Speed, area: float) -> float:
    """Seconds that a training of ``recipe`` takes, with so many images per epoch and validation images.

    A validation image has ``area`` pixels.
    """
    trained = images * sum(recipe.train_size(epoch) ** 2 for epoch in range(recipe.train.epochs))
    validated = area * (
        validation * recipe.train.epochs + recipe.analysis.train_samples * len(recipe.analysis_epochs())
    )
    return speed.start + speed.image * (trained + VALIDATION * validated) / _side(recipe) ** 2


def _side(recipe: Recipe) -> int:
    """Side of the training images in the last epoch, at which the speed is measured."""
    return recipe.train_size(recipe.train.epochs - 1)


class TimeEstimator:
    """Seconds of a study's trainings; each kind of training is measured once, when first needed."""

    def __init__(self, plan: Plan, dataset: Dataset) -> None:
        self.plan, self.dataset = plan, dataset
        self.pixels = pixels = dataset.pixels(plan.recipe.data, plan.target)
        self.train, self.val = (len(pixels.index.positions(split)) for split in ("train", "val"))
        self._speeds: dict[tuple[str, bool], Speed] = {}
        self._probe_seconds_of: dict[float, float] = {}

    def pretraining(self, recipe: Recipe, data: str) -> float:
        """Seconds of a pre-training on the folder ``data``."""
        plan = self.plan
        alike = recipe.task == plan.recipe.task  # as fast as the trials, whose images are decoded already
        speed = self._speed(plan.recipe, plan.data) if alike else self._speed(recipe, data)
        return seconds_of(recipe, self._images(recipe, data), self.val, speed, self._area(recipe))

    def tuning(self, recipe: Recipe) -> float:
        """Seconds of one learning-rate candidate."""
        return self._training(recipe, self.train // 5)

    def trial(self, setting: str, recipe: Recipe) -> float:
        """Seconds of one trial."""
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

    def _images(self, recipe: Recipe, data: str) -> int:
        """Images per epoch of a pre-training."""
        if data == self.plan.data:
            return self.train
        index = self.dataset.open(data).scan(recipe.data)
        return len(index.positions("train")) or round(len(index) * (1 - recipe.data.val_fraction))

    def _area(self, recipe: Recipe) -> float:
        """Pixels of a validation image; BYOL validates on views as large as those of training."""
        if recipe.task == "byol":
            return _side(recipe) ** 2
        if recipe.data.resize != "keep":
            return recipe.data.image_size**2
        return math.prod(self.pixels.batch([0]).shape[-2:])

    def _speed(self, recipe: Recipe, data: str) -> Speed:
        kind = (recipe.task, recipe.backbone.freeze)
        if kind not in self._speeds:
            self._speeds[kind] = measure_speed(override(recipe, {"backbone.weights": "none"}), self.dataset.open(data))
        return self._speeds[kind]

    def _probe_seconds(self, fraction: float) -> float:
        if fraction not in self._probe_seconds_of:
            index = self.pixels.index
            labels = len(label_subset(index, fraction, self.plan.seeds[0]))
            self._probe_seconds_of[fraction] = probe_seconds(labels, len(index.classes), self.plan.recipe)
        return self._probe_seconds_of[fraction]


def estimate(plan: Plan, dataset: Dataset, finished: Container[str] = ()) -> dict[str, float]:
    """Name of every remaining training of the study -> its estimated seconds.

    ``finished`` holds the names of finished trainings: what only they need is not measured.
    """
    plan = replace(plan, settings=_unfinished_settings(plan, finished))
    estimator, seconds = TimeEstimator(plan, dataset), dict[str, float]()
    for recipe, data in map(plan.pretrain, plan.pretrainings()):
        if recipe.name not in finished:
            seconds[recipe.name] = estimator.pretraining(recipe, data)
    for setting in plan.tuned_settings():
        for _, recipe in plan.tunings(setting).values():
            if recipe.name not in finished:
                seconds[recipe.name] = estimator.tuning(recipe)
    for setting, fraction, seed in plan.trials():
        if trial_name(setting, fraction, seed) not in finished:
            recipe = plan.trial(setting, fraction, seed)
            seconds[recipe.name] = estimator.trial(setting, recipe)
    return seconds


def _unfinished_settings(plan: Plan, finished: Container[str]) -> str:
    left = {setting for setting, fraction, seed in plan.trials() if trial_name(setting, fraction, seed) not in finished}
    return "".join(setting for setting in plan.settings if setting in left)


def fit_budget(plan: Plan, dataset: Dataset, budget: float, workers: int = 1) -> tuple[Plan, dict[str, float]]:
    """``plan`` with as many epochs as ``budget`` (in seconds) allows so many workers, and its `estimate`.

    Raises HeadstartError, naming the least budget, when even the shortest trainings take longer.
    """
    seconds = estimate(plan, dataset)
    for _ in range(6):
        total = sum(seconds.values())
        share = min(1.0, 0.95 * budget * workers / total)
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
        plan, seconds = shorter, estimate(shorter, dataset)
    if sum(seconds.values()) > budget * workers:
        minutes = sum(seconds.values()) / workers / 60
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


def probe_seconds(labels: int, classes: int, recipe: Recipe) -> float:
    """Seconds to fit a linear probe on ``labels`` images, timed on noise with a quarter as many."""
    width, random = features_of(build(recipe.backbone.name)), np.random.default_rng(0)
    some = max(labels // 4, 3 * classes)
    noise = random.normal(size=(some, width)).astype(np.float32)
    began = time.perf_counter()
    solve(noise, np.arange(some) % classes, classes)
    return (time.perf_counter() - began) * labels / some
