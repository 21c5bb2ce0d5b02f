"""The time a study will take, measured on a few steps before it starts."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Container
from dataclasses import replace

import numpy as np

from headstart.comparison.settings import SETTINGS
from headstart.comparison.trial_paths import trial_name
from headstart.data.dataset import Dataset
from headstart.data.splits import label_subset
from headstart.models.backbones import build, features_of
from headstart.recipes.recipe import Recipe, override
from headstart.studies.plan import LEARNING_RATES, Plan
from headstart.studies.step_time import Speed, measure_run, measure_steps, side_of
from headstart.tasks import task_named
from headstart.training.linear_probe import solve

VALIDATION = 1 / 3
"""Cost of validating an image relative to training on it: forward only."""
SMALL_SIDE = 48
"""Side of the smaller images on which steps are timed, in pixels: between them and the recipe's, time is interpolated
by area."""

FURTHER = 1 + 1 / len(LEARNING_RATES)
"""Time of the learning-rate candidates, as a share of those always tried: about one follows them, where the best lies
at their end."""


def seconds_of(recipe: Recipe, images: int, validation: int, speed: Speed, area: float) -> float:
    """Seconds that a training of ``recipe`` takes, with so many images per epoch and validation images.

    A validation image has ``area`` pixels, and ``speed`` is that of the recipe's last image size.
    """
    images = min(images, recipe.train.images_per_epoch or images)
    trained = images * sum(recipe.train_size(epoch) ** 2 for epoch in range(recipe.train.epochs))
    validated = area * (
        validation * len(recipe.validated_epochs()) + recipe.analysis.train_samples * len(recipe.analysis_epochs())
    )
    return speed.start + speed.image * (trained + VALIDATION * validated) / side_of(recipe) ** 2


class TimeEstimator:
    """Seconds of a study's trainings; each kind of training is measured once, when first needed.

    It serves plans of the same data and networks, whatever their image sizes and epochs.
    """

    def __init__(self, plan: Plan, dataset: Dataset) -> None:
        self.plan, self.dataset = plan, dataset
        self.index = index = dataset.index(plan.recipe.data, plan.target)
        self.train, self.val = (len(index.positions(split)) for split in ("train", "val"))
        self._speeds: dict[tuple[str, str], list[tuple[int, Speed]]] = {}
        """By task and backbone; of frozen ones, whose decoder alone is trained, with no name."""
        self._probe_seconds_of: dict[float, float] = {}

    def pretraining(self, recipe: Recipe, data: str) -> float:
        """Seconds of a pre-training on the folder ``data``."""
        speed = self._speed(recipe, data)
        return seconds_of(recipe, self.images(recipe, data), self.val, speed, self._area(recipe))

    def tuning(self, recipe: Recipe) -> float:
        """Seconds of one learning-rate candidate."""
        held_out = round(self.train * recipe.data.label_fraction * recipe.data.val_fraction)
        solving = self._probe_seconds(recipe.data.label_fraction) if recipe.starts_from_probe() else 0.0
        return self._training(recipe, held_out) + solving / len(LEARNING_RATES)  # the candidates share it

    def trial(self, setting: str, recipe: Recipe, encoded: bool = False, solved: bool = False) -> float:
        """Seconds of one trial; ``encoded``: whether an earlier trial leaves it the features of its backbone, and
        ``solved`` the probe on them."""
        logistic = SETTINGS[setting].frozen and self.plan.tuned and not self.plan.masks
        seconds = self._speed(recipe, self.plan.data).start if logistic else self._training(recipe, self.val)
        if logistic or recipe.starts_from_probe():
            images = 0 if encoded else self.train + self.val
            seconds += VALIDATION * self._speed(recipe, self.plan.data).image * images
            seconds += 0 if solved else self._probe_seconds(recipe.data.label_fraction)
        return seconds

    def images_in_the_time_of(self, recipe: Recipe, other: Recipe) -> int:
        """Images that the steps of ``recipe`` train on, on images of its mean area, while those of ``other`` run."""
        seconds = self._steps(other, other.train.images_per_epoch or self.train)
        return max(1, int(recipe.train.epochs * seconds / self._steps(recipe, 1)))

    def _steps(self, recipe: Recipe, per_epoch: int) -> float:
        """Seconds of the steps of a training with so many images per epoch."""
        area = sum(recipe.train_size(epoch) ** 2 for epoch in range(recipe.train.epochs)) / side_of(recipe) ** 2
        return self._speed(recipe, self.plan.data).image * min(per_epoch, self.train) * area

    def images(self, recipe: Recipe, data: str) -> int:
        """Training images of a pre-training's folder."""
        if data == self.plan.data:
            return self.train
        index = self.dataset.open(data).scan(recipe.data)
        return len(index.positions("train")) or round(len(index) * (1 - recipe.data.val_fraction))

    def _training(self, recipe: Recipe, val: int) -> float:
        area = self._area(recipe)
        if not recipe.backbone.freeze or not self.plan.masks:
            return seconds_of(recipe, self.train, val, self._speed(recipe, self.plan.data), area)
        # The backbone is run once over whole images, and the decoder is trained on whole maps.
        speed = self._speed(override(recipe, {"backbone.freeze": False, "probe.views": 0}), self.plan.data)
        labels = round(recipe.data.label_fraction * self.train)
        maps = VALIDATION * speed.image * area / side_of(recipe) ** 2 * (labels + val)
        changes = {"data.label_fraction": min(self.plan.fractions), "probe.views": 0}
        decoder = self._decoder_speed(override(recipe, changes))
        images, share = min(self.train, recipe.train.images_per_epoch or self.train), 1.0
        if recipe.probe.views:  # it is trained on windows
            share = min(1.0, side_of(recipe) ** 2 / area)
            maps += VALIDATION * speed.image * labels * recipe.probe.views
        return (
            speed.start
            + maps
            + decoder.image * (recipe.train.epochs * share * images + VALIDATION * len(recipe.validated_epochs()) * val)
        )

    def _area(self, recipe: Recipe) -> float:
        """Pixels of a validation image; where views are compared, they are as large as those of training."""
        task = task_named(recipe.task)
        if task.num_views > 1 and not task.views_are_parts:
            return side_of(recipe) ** 2
        if recipe.data.resize != "keep":
            return float((recipe.val.image_size or recipe.data.image_size) ** 2 * (2 if recipe.val.hflip else 1))
        return math.prod(self.dataset.pixels(self.plan.recipe.data, self.plan.target).batch([0]).shape[-2:])

    def _speed(self, recipe: Recipe, data: str) -> Speed:
        """Speed at the recipe's last image size, between those at two sizes: in proportion to their areas."""
        kind, side = (recipe.task, recipe.backbone.name), side_of(recipe)
        plain = override(recipe, {"backbone.weights": "none", "backbone.freeze": False, "probe.method": "sgd"})
        if kind not in self._speeds:
            index = self.index if data == self.plan.data else self.dataset.open(data).scan(recipe.data)
            sides = sorted({min(SMALL_SIDE, side), side}) if recipe.task == self.plan.recipe.task else [side]
            self._speeds[kind] = [(each, measure_steps(plain, index.classes, each)) for each in sides]
        (low, slow), *more = self._speeds[kind]
        if not more:
            return Speed(slow.start, slow.image * side**2 / low**2)
        (high, fast) = more[-1]
        slope = (fast.image - slow.image) / (high**2 - low**2)
        return Speed(slow.start, max(slow.image + slope * (side**2 - low**2), 0.2 * slow.image))

    def _decoder_speed(self, recipe: Recipe) -> Speed:
        kind = (recipe.task, "")
        if kind not in self._speeds:
            plain = override(recipe, {"backbone.weights": "none", "backbone.freeze_stages": 0})
            self._speeds[kind] = [(side_of(recipe), measure_run(plain, self.dataset.open(self.plan.data)))]
        return self._speeds[kind][0][1]

    def _probe_seconds(self, fraction: float) -> float:
        if fraction not in self._probe_seconds_of:
            labels = len(label_subset(self.index, fraction, self.plan.seeds[0]))
            self._probe_seconds_of[fraction] = probe_seconds(labels, len(self.index.classes), self.plan.recipe)
        return self._probe_seconds_of[fraction]


def estimate(
    plan: Plan, dataset: Dataset, finished: Container[str] = (), *, estimator: TimeEstimator | None = None
) -> dict[str, float]:
    """Name of every remaining training of the study -> its estimated seconds.

    ``finished`` holds the names of finished trainings: what only they need is not measured. An ``estimator`` of the
    same data and networks is not measured again.
    """
    plan = replace(plan, settings=_unfinished_settings(plan, finished))
    estimator, seconds = estimator or TimeEstimator(plan, dataset), dict[str, float]()
    encoded, solved = set[str](), set[tuple[str, float, int]]()
    for recipe, data in (plan.pretrain(*each) for each in plan.all_pretrainings()):
        if recipe.name not in finished:
            seconds[recipe.name] = estimator.pretraining(recipe, data)
    for at in itertools.product(plan.tuned_settings(), plan.tuned_at):
        for _, recipe in plan.tunings(*at).values():
            if recipe.name not in finished:
                seconds[recipe.name] = FURTHER * estimator.tuning(recipe)
    for setting, fraction, seed in plan.trials():
        if trial_name(setting, fraction, seed) not in finished:
            recipe = plan.trial(setting, fraction, seed)
            weights, probes = recipe.backbone.weights, SETTINGS[setting].frozen or recipe.starts_from_probe()
            probe = (weights, fraction, seed)
            seconds[recipe.name] = estimator.trial(setting, recipe, weights in encoded, probe in solved)
            if probes:
                encoded.add(weights)
                solved.add(probe)
    return seconds


def _unfinished_settings(plan: Plan, finished: Container[str]) -> str:
    left = {setting for setting, fraction, seed in plan.trials() if trial_name(setting, fraction, seed) not in finished}
    return "".join(setting for setting in plan.settings if setting in left)


def probe_seconds(labels: int, classes: int, recipe: Recipe) -> float:
    """Seconds to fit a linear probe on ``labels`` images, timed on noise with a quarter as many."""
    width, random = features_of(build(recipe.backbone.name)), np.random.default_rng(0)
    some = max(labels // 4, 3 * classes)
    noise = random.normal(size=(some, width)).astype(np.float32)
    began = time.perf_counter()
    solve(noise, np.arange(some) % classes, classes)
    return (time.perf_counter() - began) * labels / some
